//! Stages that count in windows: what is left to write once windows, ticks and checkpoints are taken care of.

use ovation_shell::{Emit, Numbering, Params, SourceRecord, Stage, StageProgress, StageState, reason};
use ovation_windowing::{
    Aggregate, DedupSettings, KEYS_MAX, Totals, Update, Verdict, WindowSettings, Windows,
};
use serde::Deserialize;

/// A stage over windows: how a record is read, and how an update is written. It holds settings alone; all that changes with
/// records is in its windows, which are saved and restored for it.
///
/// Parameters that it does not have to read: `ovation.windows` and `ovation.idleness-ms`, which the engine makes of the
/// topology, and `dedup.horizon-ms` and `dedup.ids`, the bounds of what is remembered of ids.
pub trait Windowed: Sized {
    /// What one window holds.
    type Aggregate: Aggregate;

    /// After how much quiet, in ms, ticks move stream time where the engine does not say.
    const IDLENESS_MS: i64 = 0;

    /// Opens the stage with its own parameters.
    ///
    /// # Errors
    /// A sentence that names the parameter at fault.
    fn open(params: &Params) -> Result<Self, String>;

    /// The windows where the topology gives none; with none here either, the stage does not open.
    #[must_use]
    fn windows_default() -> Vec<WindowSettings> {
        Vec::new()
    }

    /// Whether it is shown every record, as it does the work of the module that would stand in front of it; else control records are
    /// never shown to it.
    fn sees_all(&self) -> bool {
        false
    }

    /// Reads a record, and feeds it to the windows or refuses it.
    fn record(&self, record: &SourceRecord<'_>, feed: &mut Feed<'_, '_, Self>);

    /// Takes a reject of an earlier module: counts it, and writes the dead letter.
    fn reject(&self, record: &SourceRecord<'_>, feed: &mut Feed<'_, '_, Self>) {
        feed.count_rejected("");
        feed.emit().forward_reject(record);
    }

    /// Writes an update as a JSON object with its numbers.
    fn update(&self, numbers: &Numbering<'_>, update: &Update<'_, Self::Aggregate>) -> Vec<u8>;
}

/// Where a [`Windowed`] stage puts the record at hand.
#[derive(Debug)]
pub struct Feed<'a, 'e, W: Windowed> {
    logic: &'a W,
    windows: &'a mut Windows<W::Aggregate>,
    emit: &'a mut Emit<'e>,
}

impl<'e, W: Windowed> Feed<'_, 'e, W> {
    /// Counts a record in its windows, see [`Windows::observe`]. What did not count everywhere is left to the caller.
    pub fn observe(
        &mut self,
        key: impl AsRef<[u8]>,
        time_ms: i64,
        id: Option<&[u8]>,
        item: &<W::Aggregate as Aggregate>::Item<'_>,
    ) -> Verdict {
        let Self { logic, windows, emit } = self;
        windows.observe(key.as_ref(), time_ms, id, item, &mut |update| send(*logic, emit, &update))
    }

    /// As [`Feed::observe`]; what came too late for a window, under one key too many or under a key that is no text becomes a dead
    /// letter as well.
    pub fn count(
        &mut self,
        record: &SourceRecord<'_>,
        key: impl AsRef<[u8]>,
        time_ms: i64,
        id: Option<&[u8]>,
        item: &<W::Aggregate as Aggregate>::Item<'_>,
    ) {
        match self.observe(key, time_ms, id, item) {
            Verdict::Duplicate => {}
            Verdict::Counted { missed } => {
                for missed in missed {
                    let settings = &self.windows.settings()[missed.definition];
                    let (name, all) = (&settings.name, settings.windows_at(time_ms));
                    let windows = missed.windows;
                    let detail = format!("{windows} of {all} windows {name:?} that hold its time had closed");
                    self.emit.dead_letter(reason::LATE, &detail, record.value);
                }
            }
            Verdict::TooManyKeys => {
                let detail = format!("this partition keeps totals for {KEYS_MAX} keys");
                self.refuse(reason::TOO_MANY_KEYS, &detail, record);
            }
            Verdict::KeyIsNoText => self.refuse(reason::KEY_MISMATCH, "the key is not UTF-8", record),
        }
    }

    /// Moves time, as a tick does.
    pub fn tick(&mut self, time_ms: i64) {
        let Self { logic, windows, emit } = self;
        windows.tick(time_ms, &mut |update| send(*logic, emit, &update));
    }

    /// Refuses a record whose key is unknown: counts it, and writes the dead letter.
    pub fn refuse(&mut self, reason: &str, detail: &str, record: &SourceRecord<'_>) {
        self.count_rejected("");
        self.emit.dead_letter(reason, detail, record.value);
    }

    /// Counts a record of this key as refused; the empty key stands for records whose key is unknown.
    pub fn count_rejected(&mut self, key: &str) {
        self.windows.reject(key);
    }

    /// The definitions.
    #[must_use]
    pub fn settings(&self) -> &[WindowSettings] {
        self.windows.settings()
    }

    /// Totals of a key, if it is known.
    #[must_use]
    pub fn totals(&self, key: &str) -> Option<Totals> {
        self.windows.totals(key)
    }

    /// Where results and dead letters go, for letters of the stage's own form.
    pub fn emit(&mut self) -> &mut Emit<'e> {
        self.emit
    }
}

fn send<W: Windowed>(logic: &W, emit: &mut Emit<'_>, update: &Update<'_, W::Aggregate>) -> usize {
    emit.result(update.key, |numbers| logic.update(numbers, update))
}

/// A [`Windowed`] stage with its windows.
#[derive(Debug)]
pub struct WindowStage<W: Windowed> {
    logic: W,
    windows: Windows<W::Aggregate>,
}

#[derive(Deserialize)]
struct Tick {
    tick: i64,
}

impl<W: Windowed> Stage for WindowStage<W> {
    fn open(params: &Params) -> Result<Self, String> {
        let logic = W::open(params)?;
        let settings: Vec<WindowSettings> = match params.get("ovation.windows") {
            Some(json) => serde_json::from_str(json).map_err(|error| format!("ovation.windows: {error}"))?,
            None => W::windows_default(),
        };
        let bounds = DedupSettings::default();
        let dedup = DedupSettings {
            horizon_ms: params
                .parse("dedup.horizon-ms", bounds.horizon_ms, "milliseconds")
                .map_err(|error| error.to_string())?,
            ids_max: params
                .parse("dedup.ids", bounds.ids_max, "a number of ids")
                .map_err(|error| error.to_string())?,
        };
        let idleness_ms = params
            .parse("ovation.idleness-ms", W::IDLENESS_MS, "milliseconds")
            .map_err(|error| error.to_string())?;
        let windows = Windows::new(settings, dedup, idleness_ms).map_err(|error| error.to_string())?;
        Ok(Self { logic, windows })
    }

    fn sees_all(&self) -> bool {
        self.logic.sees_all()
    }

    fn record(&mut self, record: &SourceRecord<'_>, emit: &mut Emit<'_>) {
        let Self { logic, windows } = self;
        let mut feed = Feed { logic, windows, emit };
        if logic.sees_all() {
            logic.record(record, &mut feed);
        } else if record.is_tick() {
            match serde_json::from_slice(record.value) {
                Ok(Tick { tick }) => feed.tick(tick),
                Err(error) => feed.refuse(reason::MALFORMED, &format!("not a tick: {error}"), record),
            }
        } else if record.is_reject() {
            logic.reject(record, &mut feed);
        } else {
            logic.record(record, &mut feed);
        }
    }

    fn progress(&self) -> StageProgress {
        let size = self.windows.size();
        StageProgress {
            stream_time: self.windows.stream_time(),
            watermark: self.windows.watermark(),
            dirty: self.windows.is_dirty(),
            open: self.windows.open(),
            backlog: self.windows.backlog(),
            state: StageState { keys: size.keys, windows: size.windows, ids: size.ids },
        }
    }

    fn stream_time(&self) -> Option<i64> {
        self.windows.stream_time()
    }

    fn save(&self) -> Result<String, String> {
        self.windows.save().map_err(|error| error.to_string())
    }

    fn restore(&mut self, state: &str) -> Result<(), String> {
        self.windows.restore(state)
    }
}
