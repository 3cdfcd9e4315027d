//! From windows as written to definitions that work.

use std::time::Duration;

use super::Check;
use crate::document::{EmitDoc, TransformDoc, WindowDoc};
use crate::quantity::DURATION;
use crate::read::At;
use crate::spec::{Emit, Window, WindowKind};

/// Time between two updates where the topology says nothing.
const DEFAULT_EVERY: Duration = Duration::from_millis(100);
/// Below this, ticks would cost more than the updates are worth.
const EVERY_MIN: Duration = Duration::from_millis(10);
/// How far ticks stay behind the clock where the topology says nothing: more than an event takes from its sender to the broker.
const DEFAULT_IDLENESS: Duration = Duration::from_secs(1);
/// Definitions of one stage at most: each costs every record a look-up.
const WINDOWS_MAX: usize = 16;
/// Slices of time that one key's open windows of a definition may need at most.
const SLICES_MAX: u128 = 10_000;

impl Check<'_> {
    /// The windows of a transform, and how far ticks stay behind the clock.
    pub(super) fn windows(&mut self, document: &TransformDoc) -> (Vec<Window>, Duration) {
        let mut windows = Vec::new();
        if let (Some(_), Some(list)) = (&document.window, &document.windows) {
            let help = Some("put the one under `window` into the list".to_owned());
            self.problem(list.place, "expected either `window` or `windows`, not both".to_owned(), help);
        }
        let listed = document.windows.iter().flat_map(|list| &list.value);
        for spanned in document.window.iter().chain(listed) {
            let Some(window) = self.window(spanned) else { continue };
            if windows.iter().any(|other: &Window| other.name == window.name) {
                let message = format!("two windows of this stage are named {:?}", window.name);
                self.problem(spanned.place, message, Some("give one of them a `name`".to_owned()));
            }
            windows.push(window);
        }
        if let Some(list) = &document.windows
            && !(1..=WINDOWS_MAX).contains(&list.value.len())
        {
            let message = format!("a stage has 1 to {WINDOWS_MAX} windows, not {}", list.value.len());
            self.problem(list.place, message, None);
        }
        let watermark = document.watermark.as_ref();
        if let Some(watermark) = watermark
            && document.window.is_none()
            && document.windows.is_none()
        {
            let message = "a `watermark` needs a `window` beside it".to_owned();
            self.problem(watermark.place, message, None);
        }
        let idleness = match watermark.and_then(|watermark| watermark.value.idleness.as_ref()) {
            Some(idleness) => self.duration(idleness, Duration::ZERO).unwrap_or(DEFAULT_IDLENESS),
            None => DEFAULT_IDLENESS,
        };
        (windows, idleness)
    }

    fn window(&mut self, spanned: &At<WindowDoc>) -> Option<Window> {
        let window = &spanned.value;
        let least = Duration::from_millis(1);
        // A part that is missing was told of when it was read.
        let mut time = |text: Option<&At<String>>| text.and_then(|text| self.duration(text, least));
        let text = |text: Option<&At<String>>| text.map(|text| text.value.clone()).unwrap_or_default();
        let (kind, written) = match (&window.tumbling, &window.hopping, &window.session) {
            (Some(tumbling), None, None) => {
                let size = tumbling.size.0.as_ref();
                (time(size).map(|size| WindowKind::Tumbling { size }), text(size))
            }
            (None, Some(hopping), None) => {
                let (size_text, advance_text) = (hopping.size.0.as_ref(), hopping.advance.0.as_ref());
                let sizes = time(size_text).zip(time(advance_text));
                if let Some(advance) =
                    advance_text.filter(|_| sizes.is_some_and(|(size, advance)| advance > size))
                {
                    let message =
                        "an `advance` that is longer than the `size` leaves time that no window holds"
                            .to_owned();
                    self.problem(advance.place, message, None);
                }
                let kind = sizes.map(|(size, advance)| WindowKind::Hopping { size, advance });
                (kind, format!("{}-every-{}", text(size_text), text(advance_text)))
            }
            (None, None, Some(session)) => {
                let gap = session.gap.0.as_ref();
                (time(gap).map(|gap| WindowKind::Session { gap }), format!("session-{}", text(gap)))
            }
            _ => {
                let message = "a window is one of `tumbling`, `hopping` and `session`".to_owned();
                let help = Some("for example `tumbling: { size: 10s }`".to_owned());
                self.problem(spanned.place, message, help);
                return None;
            }
        };
        let grace = match &window.grace {
            Some(grace) => self.duration(grace, Duration::ZERO),
            None => Some(Duration::ZERO),
        };
        let emit = self.emit(window.emit.as_ref());
        if let Some(name) = &window.name {
            self.name(name, "a window");
        }
        let name = window.name.as_ref().map_or(written, |name| name.value.clone());
        let window = Window { name, kind: kind?, grace: grace?, emit: emit? };
        let slices = slices(&window);
        if slices > SLICES_MAX {
            let message =
                format!("this window would be kept in {slices} slices of time, more than {SLICES_MAX}");
            let help = "take an advance that divides the size, a longer advance, or less grace".to_owned();
            self.problem(spanned.place, message, Some(help));
        }
        Some(window)
    }

    fn emit(&mut self, emit: Option<&At<EmitDoc>>) -> Option<Emit> {
        let Some(emit) = emit else { return Some(Emit::Update { every: DEFAULT_EVERY }) };
        match &emit.value {
            EmitDoc::Every(every) => {
                self.duration(every.as_ref()?, EVERY_MIN).map(|every| Emit::Update { every })
            }
            EmitDoc::Named(name) if name == "update" => Some(Emit::Update { every: DEFAULT_EVERY }),
            EmitDoc::Named(name) if name == "close" => Some(Emit::Close),
            EmitDoc::Named(name) => {
                let message =
                    format!("{name:?} is no way to emit; expected `update`, `close` or `{{ every: 100ms }}`");
                let help = crate::quantity::parse_duration(name)
                    .map(|_| format!("write `emit: {{ every: {name} }}`"));
                self.problem(emit.place, message, help.or_else(|| Some(format!("`every` is {DURATION}"))));
                None
            }
        }
    }
}

/// Slices of time that no window's edge cuts, over all that is open for one key.
fn slices(window: &Window) -> u128 {
    let (span, step) = match window.kind {
        WindowKind::Tumbling { size } => (size, size.as_millis()),
        WindowKind::Hopping { size, advance } => (size, gcd(size.as_millis(), advance.as_millis())),
        WindowKind::Session { gap } => (gap, gap.as_millis()),
    };
    (span + window.grace).as_millis() / step.max(1)
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
