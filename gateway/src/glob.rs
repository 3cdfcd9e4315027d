//! A name in which `*` stands for any part: how tokens and rules name rooms.

/// Whether `room` matches `pattern`. Takes at most the product of both lengths in steps, whatever the pattern.
pub(crate) fn matches(pattern: &str, room: &str) -> bool {
    let (pattern, room) = (pattern.as_bytes(), room.as_bytes());
    let (mut at, mut next) = (0, 0);
    // Where the last star stands, and where in the room what follows it was last tried.
    let mut star: Option<(usize, usize)> = None;
    while next < room.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, next));
                at += 1;
            }
            Some(byte) if *byte == room[next] => {
                at += 1;
                next += 1;
            }
            _ => {
                // The last star takes one more byte. Earlier ones need no second try: they are as short as can be.
                let Some((place, tried)) = star else { return false };
                star = Some((place, tried + 1));
                at = place + 1;
                next = tried + 1;
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}
