"""The checks at the end: what the ledger says against what the books say."""

import collections

SHOWN_MAX = 10


def numbering(ledger, inversions_allowed):
    """Numbers of each partition and epoch are 1, 2, 3, …, each once."""
    errors = []
    for what, all_seqs in (("result", ledger.seqs), ("dead letter", ledger.letter_seqs)):
        for (partition, epoch), seqs in sorted(all_seqs.items()):
            where = f"partition {partition} epoch {epoch}"
            repeated = [seq for seq, count in collections.Counter(seqs).items() if count > 1]
            missing = sorted(set(range(1, max(seqs) + 1)) - set(seqs))
            if repeated:
                errors.append(f"{where}: {what} {shown(repeated)} more than once")
            if missing:
                errors.append(f"{where}: {what} {shown(missing)} missing")
            if seqs != sorted(seqs) and not inversions_allowed:
                errors.append(f"{where}: {what}s are not in order")
    return errors


def windows(ledger):
    """Every window has one final, and nothing after it."""
    errors = list(ledger.oddities)
    for key in ledger.open_windows():
        errors.append(f"window {key} is not final")
    for key, places in ledger.finals.items():
        if len(places) > 1:
            errors.append(f"window {key} has several finals, at {places}")
    return errors


def counts(ledger, books, windows_of_one):
    """What was acknowledged is counted once in each window it belongs to: in a final, or late with a dead letter that says so."""
    errors = [f"reaction {identity} {what} was never acknowledged" for identity, what in books.open.items()]
    acknowledged = books.taps()
    for name, windows_each in windows_of_one.items():
        counted, late = ledger.counted(name), ledger.late(name)
        for room, emoji, taps, missed in late.values():
            counted[room, emoji] += taps * missed
        errors += [f"late letter of {identity}, which nobody sent" for identity in late.keys() - books.acknowledged.keys()]
        for place in sorted(acknowledged.keys() | counted.keys()):
            due = acknowledged[place] * windows_each
            if due != counted[place]:
                room, emoji = place
                errors.append(
                    f"window {name}, room {room}, {emoji}: {due} taps were acknowledged, {counted[place]} are in finals or late"
                )
    return errors


def refusals(ledger, books):
    """What must be refused has a dead letter with its reason."""
    reasons = collections.defaultdict(set)
    for letter in ledger.letters:
        for mark in books.refused:
            if mark in letter["event"]:
                reasons[mark].add(letter["reason"])
    return [
        f"stray {mark} should be refused as {reason}, and is: {sorted(reasons[mark]) or 'not at all'}"
        for mark, reason in books.refused.items() if reasons[mark] != {reason}
    ]


def watching(ledger, watchers):
    """Every watcher saw each final once, and within an unbroken line every result once and in order, but for superseded ones
    that it was told were left out, or that a resume leaves out."""
    errors = []
    for watcher in watchers:
        errors += watcher.repeats
        errors += [f"{watcher.room}: final of {window} came {times} times without a snapshot between"
                   for window, times in watcher.finals.items() if times > 1 + watcher.rewinds]
        stored = {(name, start) for (room, name, start) in ledger.finals if room == watcher.room}
        # A snapshot leaves out the windows that were retracted.
        lasting = {(name, start) for name, start in stored if not ledger.is_retracted(watcher.room, name, start)}
        if unseen := sorted(lasting - watcher.finals.keys()):
            errors.append(f"{watcher.room}: finals {shown(unseen)} were never seen")
        if unknown := sorted(watcher.finals.keys() - stored):
            errors.append(f"{watcher.room}: finals {shown(unknown)} were seen and are not stored")
        for line in watcher.lines:
            if not line.places:
                continue
            # An empty snapshot may come from a gateway that has just started: the line begins with its first update.
            floor = line.floor or line.places[0]
            windows = ledger.places[watcher.room]
            should = {place for place in windows if floor < place <= line.places[-1]}
            missed = sorted(should - set(line.places))
            # The last place of each window that came: what was before it is superseded.
            newest = {windows.get(place): place for place in line.places}
            lost = [place for place in missed if newest.get(windows[place], place) <= place]
            if lost:
                errors.append(f"{watcher.room}: between two snapshots results {shown(lost)} did not come, and none that supersede them")
            if len(missed) > line.skipped and not line.resumed:
                errors.append(
                    f"{watcher.room}: between two snapshots results {shown(missed)} did not come, and it was told of "
                    f"{line.skipped}"
                )
    return errors


def shown(things):
    things = sorted(things)
    more = f" and {len(things) - SHOWN_MAX} more" if len(things) > SHOWN_MAX else ""
    return ", ".join(map(str, things[:SHOWN_MAX])) + more
