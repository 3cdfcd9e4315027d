// What goes over the wire, made of the gateway's types: OVATION_UPDATE=1 cargo test -p ovation-gateway wire

/**
 * A reaction as a client sends it to its room.
 */
export type Reaction = { 
/**
 * Its room: needed in a batch; elsewhere it is known, and may be left out.
 */
room?: string, 
/**
 * One emoji of Unicode's list, in any presentation.
 */
emoji: string, 
/**
 * Taps; 1 if it is left out.
 */
count?: number, 
/**
 * Who reacted, without control characters; the token's user, where it names one.
 */
user?: string, 
/**
 * Names the reaction, so that it can be sent again and counts once. Without control characters.
 */
id?: string, 
/**
 * When, in ms since 1970, near the gateway's clock; the gateway stamps it otherwise.
 */
ts?: number, };

/**
 * The answer to a reaction that is stored.
 */
export type ReactionAccepted = { 
/**
 * Its id: the client's own, or a new one. Sent again under this id within the dedup horizon it counts once.
 */
id: string, 
/**
 * Partition of the events topic, from 0.
 */
partition: number, 
/**
 * Offset of its record.
 */
offset: number, 
/**
 * True if it had been stored before. A gateway that does not know it says nothing, and it counts once all the same.
 */
duplicate?: boolean, };

/**
 * What became of a batch. The three numbers add up to its items.
 */
export type BatchAnswer = { 
/**
 * Reactions that the broker has acknowledged.
 */
accepted: number, 
/**
 * Reactions that had been stored before; they count once.
 */
duplicates: number, 
/**
 * The others, by their place.
 */
rejected: Array<BatchReject>, };

/**
 * Why an item of a batch was not stored.
 */
export type BatchReject = { 
/**
 * Place in the batch, from 0. Of lines, empty ones do not count.
 */
index: number, 
/**
 * Type of the problem.
 */
type: string, 
/**
 * The status that the item would have alone. 429 and from 500 on: send it again later.
 */
status: number, 
/**
 * The same for every problem of this type.
 */
title: string, 
/**
 * What exactly, for a person.
 */
detail: string, 
/**
 * Send the reaction again under this id, and it counts once.
 */
id?: string, 
/**
 * Seconds to wait before the next try.
 */
retry_after?: number, };

/**
 * An error answer (RFC 9457), with members of its own.
 */
export type Problem = { 
/**
 * Stable: `urn:ovation:problem:` and a name.
 */
type: string, 
/**
 * The same for every problem of this type.
 */
title: string, 
/**
 * The status of the answer.
 */
status: number, 
/**
 * What exactly, for a person.
 */
detail?: string, 
/**
 * Send the reaction again under this id, and it counts once.
 */
id?: string, 
/**
 * Seconds to wait before the next try, as in `Retry-After`.
 */
retry_after?: number, 
/**
 * Each item of a batch of which nothing was stored.
 */
rejected?: Array<BatchReject>, };

/**
 * A room as it is now.
 */
export type Snapshot = { 
/**
 * Where the feed goes on: `?after=CURSOR`.
 */
cursor: string, 
/**
 * The room.
 */
room: string, 
/**
 * Its counters.
 */
room_totals: RoomTotals, 
/**
 * Clients of this gateway that follow the room.
 */
watching: number, 
/**
 * Whether the room takes reactions.
 */
open: boolean, 
/**
 * The only emoji that it takes; null if it takes all.
 */
emoji: Array<string> | null, 
/**
 * False where a client wanted to resume and could not: what it missed is not there any more, or its cursor is none.
 */
resumed?: boolean, 
/**
 * The open windows, and the last finals.
 */
windows: Array<WindowUpdate>, 
/**
 * The room's last moments, oldest first, each in its latest revision.
 */
moments: Array<Moment>, };

/**
 * Rooms with windows.
 */
export type ActiveRooms = { 
/**
 * The last active first.
 */
rooms: Array<ActiveRoom>, };

/**
 * A room with windows.
 */
export type ActiveRoom = { 
/**
 * The room.
 */
room: string, 
/**
 * Its counters.
 */
room_totals: RoomTotals, 
/**
 * Clients of this gateway that follow the room.
 */
watching: number, 
/**
 * Windows that are not final.
 */
open_windows: number, };

/**
 * A window's counts, as they stand in the aggregate topic.
 */
export type WindowUpdate = { 
/**
 * Stage that made it.
 */
stage: string, 
/**
 * Epoch of the stage: counts resets.
 */
epoch: number, 
/**
 * 1, 2, 3, … per stage, epoch and source partition.
 */
seq: number, 
/**
 * The room.
 */
room: string, 
/**
 * Which window.
 */
window: WindowRef, 
/**
 * 1, 2, 3, … per window; the highest is the truth.
 */
revision: number, 
/**
 * Whether this is the window's last result.
 */
final: boolean, 
/**
 * The window has become part of a session that starts earlier: this is its last result, and it holds nothing.
 */
retracted?: boolean, 
/**
 * Taps in the window.
 */
total: number, 
/**
 * Taps by emoji.
 */
counts: Record<string, number>, 
/**
 * Distinct reactors, an estimate; null where nobody estimates.
 */
users: number | null, 
/**
 * Mood; null where nobody judges it.
 */
sentiment: Sentiment | null, 
/**
 * The emoji with the most taps, those with most first.
 */
top: Array<string>, 
/**
 * Taps a second, over the time that the window has lasted so far.
 */
rate: number, 
/**
 * The room's counters since the epoch.
 */
room_totals: RoomTotals, 
/**
 * The source record that gave rise to it.
 */
source: UpdateSource, };

/**
 * The mood of taps: of those whose emoji is in the ranking of emoji by sentiment.
 */
export type Sentiment = { 
/**
 * From -1, bad, to 1, good; null where there are too few such taps to tell.
 */
score: number | null, 
/**
 * Their share of all taps.
 */
coverage: number, 
/**
 * How many they are.
 */
n: number, };

/**
 * Names one window of a room: by `name` and `start`, because a session's end grows.
 */
export type WindowRef = { 
/**
 * Name of the definition.
 */
name: string, 
/**
 * What kind of window.
 */
kind: "tumbling" | "hopping" | "session", 
/**
 * Start, ms since 1970.
 */
start: number, 
/**
 * End (exclusive), ms since 1970.
 */
end: number, };

/**
 * What a room's windows were.
 */
export type History = { 
/**
 * The room.
 */
room: string, 
/**
 * First start of a window that was asked for, ms since 1970.
 */
from: number, 
/**
 * First start that was not asked for any more.
 */
to: number, 
/**
 * Length of a step in ms; null where windows come one by one.
 */
step: number | null, 
/**
 * In the order in which they became final; of one definition oldest first.
 */
windows: Array<HistoryWindow>, 
/**
 * The query that goes on after this answer, relative to its URL; null if this is all.
 */
next: string | null, };

/**
 * A window that is final, or a step.
 */
export type HistoryWindow = WindowUpdate | HistoryStep;

/**
 * The windows of one definition that begin in one step, added up.
 */
export type HistoryStep = { 
/**
 * The definition, and the step's own start and end: the end is that of the last window, if that is later. Of kinds that are
 * not added up it is the window.
 */
window: WindowRef, 
/**
 * Taps.
 */
total: number, 
/**
 * Taps by emoji.
 */
counts: Record<string, number>, 
/**
 * How many windows it is made of.
 */
windows: number, 
/**
 * Distinct reactors cannot be added up: always null.
 */
users: number | null, 
/**
 * Mood of its windows, each by the taps that tell of it; null where none does.
 */
sentiment: Sentiment | null, };

/**
 * What a room's moments were.
 */
export type Moments = { 
/**
 * The room.
 */
room: string, 
/**
 * First start of a moment that was asked for, ms since 1970.
 */
from: number, 
/**
 * First start that was not asked for any more.
 */
to: number, 
/**
 * Oldest first, each in its latest revision.
 */
moments: Array<Moment>, 
/**
 * The query that goes on after this answer, relative to its URL; null if this is all.
 */
next: string | null, };

/**
 * A burst of a room, as it stands in the moment topic. It comes again with a higher `revision` while it goes on, and once it is over.
 */
export type Moment = { 
/**
 * Stage that made it.
 */
stage: string, 
/**
 * Epoch of the stage: counts resets.
 */
epoch: number, 
/**
 * 1, 2, 3, … per stage, epoch and source partition.
 */
seq: number, 
/**
 * The room.
 */
room: string, 
/**
 * The same in all its revisions.
 */
id: string, 
/**
 * Name of the window definition that it was seen in.
 */
window: string, 
/**
 * 1, 2, 3, …; the highest of an id is the truth.
 */
revision: number, 
/**
 * Whether it is over.
 */
final: boolean, 
/**
 * Start of the first window of the burst, ms since 1970.
 */
start: number, 
/**
 * End of its last window so far, ms since 1970.
 */
end: number, 
/**
 * Taps from start to end.
 */
total: number, 
/**
 * Its largest window.
 */
peak: MomentPeak, 
/**
 * What was usual before.
 */
baseline: MomentBaseline, 
/**
 * How many times the usual the peak was: its rate by that of before, or by one tap a window if that was less.
 */
lift: number, 
/**
 * How far the peak stands above the usual, in robust standard deviations of square-rooted counts.
 */
score: number, 
/**
 * The emoji with the most taps.
 */
leading: string, 
/**
 * Taps by emoji.
 */
counts: Record<string, number>, 
/**
 * How the mood changed.
 */
sentiment: MomentSentiment, 
/**
 * From where on all its reactions stand in their topic.
 */
replay: TopicPlace, 
/**
 * The result that gave rise to it.
 */
source: UpdateSource, };

/**
 * The largest window of a moment.
 */
export type MomentPeak = { 
/**
 * Its start, ms since 1970.
 */
start: number, 
/**
 * Taps.
 */
total: number, 
/**
 * Taps a second.
 */
rate: number, 
/**
 * Distinct reactors, an estimate; null where nobody estimates.
 */
users: number | null, };

/**
 * What was usual before a moment.
 */
export type MomentBaseline = { 
/**
 * Taps a second: the median of the windows before.
 */
rate: number, };

/**
 * How the mood changed with a moment; each is null where too few taps tell.
 */
export type MomentSentiment = { 
/**
 * The score before.
 */
before: number | null, 
/**
 * The score in its windows.
 */
during: number | null, 
/**
 * By how much that is more.
 */
shift: number | null, };

/**
 * A record's place in a topic.
 */
export type TopicPlace = { 
/**
 * The topic.
 */
topic: string, 
/**
 * Partition.
 */
partition: number, 
/**
 * Offset.
 */
offset: number, };

/**
 * How reactions get on, as far as this process knows.
 */
export type Pipeline = { 
/**
 * When it was so, ms since 1970.
 */
time: number, 
/**
 * What comes in at this gateway.
 */
ingest: IngestRates, 
/**
 * Where the stages stand; null where no engine runs in this process.
 */
stages: Array<StageStatus> | null, 
/**
 * What did not count; null where there is no topic with dead letters.
 */
rejects: RejectCounts | null, };

/**
 * Reactions that were accepted in the last seconds.
 */
export type IngestRates = { 
/**
 * Reactions a second.
 */
reactions_per_s: number, 
/**
 * Taps a second.
 */
taps_per_s: number, };

/**
 * A stage of the engine in this process.
 */
export type StageStatus = { 
/**
 * Its name.
 */
stage: string, 
/**
 * Topic that it reads.
 */
source: string, 
/**
 * Topic that it writes its results to.
 */
sink: string, 
/**
 * Its tasks.
 */
partitions: Array<TaskStatus>, };

/**
 * A task: a stage's work on one partition of its source.
 */
export type TaskStatus = { 
/**
 * The partition.
 */
partition: number, 
/**
 * `starting`, `running`, `waiting`, `stopped` or `finished`.
 */
state: string, 
/**
 * `active`, or `standby` while another engine stores the same results.
 */
role: string, 
/**
 * What went wrong last; null if all is well.
 */
error: string | null, 
/**
 * Next offset of the source.
 */
offset: number, 
/**
 * Records of the source that are known and not processed yet.
 */
lag: number, 
/**
 * Stream time less grace, ms since 1970; null before the first record.
 */
watermark: number | null, 
/**
 * When its last checkpoint was stored, ms since 1970; null before the first one.
 */
checkpoint_at: number | null, };

/**
 * Dead letters of all rooms and gateways.
 */
export type RejectCounts = { 
/**
 * Since when they are counted, ms since 1970.
 */
since: number, 
/**
 * How many came.
 */
total: number, 
/**
 * The same by reason.
 */
by_reason: Record<string, number>, 
/**
 * The last ones, also from before, the newest first.
 */
last: Array<DeadLetter>, };

/**
 * An event that did not count, as it stands in the dead-letter topic.
 */
export type DeadLetter = { 
/**
 * Why: stable.
 */
reason: string, 
/**
 * A sentence for a person.
 */
detail: string, 
/**
 * The room, where it could be made out.
 */
room?: string, 
/**
 * Name of the window definition that it came too late for.
 */
window?: string, 
/**
 * How many of its windows hold the event's time and had closed.
 */
windows_missed?: number, 
/**
 * The event as it was received; base64 if `event_encoding` says so.
 */
event: string, 
/**
 * `base64` where the event is not UTF-8.
 */
event_encoding?: string, 
/**
 * Stage that refused it.
 */
stage: string, 
/**
 * Epoch of the stage.
 */
epoch: number, 
/**
 * 1, 2, 3, … per stage, epoch and source partition.
 */
seq: number, 
/**
 * Where the event stands.
 */
source: TopicPlace, 
/**
 * True where the letter was too long, and its texts are there in part.
 */
cut?: boolean, };

/**
 * Cumulative counters of a room.
 */
export type RoomTotals = { 
/**
 * Taps that count in at least one window.
 */
reactions: number, 
/**
 * Taps, for each window that had closed before they came.
 */
late: number, 
/**
 * Taps of reactions whose id was known.
 */
duplicates: number, 
/**
 * Events refused with a reason.
 */
rejected: number, };

/**
 * A place in the source topic.
 */
export type UpdateSource = { 
/**
 * Partition.
 */
partition: number, 
/**
 * Offset.
 */
offset: number, };

/**
 * What the feed sends.
 */
export type FeedMessage = { "type": "snapshot" } & Snapshot | { "type": "update", 
/**
 * Where the feed goes on after this one.
 */
cursor: string, 
/**
 * Clients of this gateway that follow the room.
 */
watching: number, 
/**
 * The record as it stands in the topic.
 */
update: WindowUpdate, } | { "type": "moment", 
/**
 * Where the feed goes on after this one.
 */
cursor: string, 
/**
 * The record as it stands in the topic.
 */
moment: Moment, } | { "type": "skipped", 
/**
 * How many.
 */
count: number, } | { "type": "ack", 
/**
 * The client's own, from its message.
 */
ref?: string, 
/**
 * The reaction's id; none in the answer to a token.
 */
id?: string, 
/**
 * True if it had been stored before, as far as the gateway knows.
 */
duplicate?: boolean, } | { "type": "error", 
/**
 * The client's own, from its message.
 */
ref?: string, 
/**
 * Why.
 */
problem: Problem, };

/**
 * What the feed takes.
 */
export type ClientMessage = { "type": "react" } & React | { "type": "auth", 
/**
 * The token.
 */
token: string, 
/**
 * Comes back with the answer; without it there is none.
 */
ref?: string, };

/**
 * A reaction on the feed's socket.
 */
export type React = { 
/**
 * Comes back with the answer.
 */
ref?: string, 
/**
 * One emoji of Unicode's list.
 */
emoji: string, 
/**
 * Taps, from 1 to 100; 1 if it is left out.
 */
count?: number, 
/**
 * Who reacted.
 */
user?: string, 
/**
 * Names the reaction, so that it can be sent again and counts once.
 */
id?: string, };
