//! The YAML as it is written, with the place of everything that can be wrong.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_saphyr::Spanned;

/// A mapping from names to things, in the order of the file.
pub(crate) struct Entries<T>(pub(crate) Vec<(Spanned<String>, T)>);

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
            type Value = Entries<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a mapping from names to their settings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

/// A parameter's value: text, a number or a truth value, all of which reach a SmartModule as text.
pub(crate) struct Scalar(pub(crate) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl Visitor<'_> for ScalarVisitor {
            type Value = Scalar;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("text, a number, true or false")
            }

            fn visit_str<E>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) name: Spanned<String>,
    pub(crate) topics: Entries<TopicDoc>,
    #[serde(default)]
    pub(crate) smartmodules: Entries<Spanned<ModuleDoc>>,
    pub(crate) stages: Entries<Spanned<StageDoc>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopicDoc {
    pub(crate) partitions: Spanned<u32>,
    #[serde(default)]
    pub(crate) retention: RetentionDoc,
    #[serde(default)]
    pub(crate) fence: bool,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetentionDoc {
    pub(crate) time: Option<Spanned<String>>,
    pub(crate) size: Option<Spanned<String>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModuleDoc {
    pub(crate) builtin: Option<Spanned<String>>,
    pub(crate) path: Option<Spanned<String>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct StageDoc {
    pub(crate) source: Spanned<String>,
    pub(crate) transforms: Vec<TransformDoc>,
    pub(crate) sink: Spanned<String>,
    pub(crate) dead_letter: Option<Spanned<String>>,
    pub(crate) checkpoints: Option<Spanned<String>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransformDoc {
    pub(crate) uses: Spanned<String>,
    #[serde(default)]
    pub(crate) with: Entries<Scalar>,
    pub(crate) window: Option<Spanned<WindowDoc>>,
    pub(crate) windows: Option<Spanned<Vec<Spanned<WindowDoc>>>>,
    pub(crate) watermark: Option<Spanned<WatermarkDoc>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WatermarkDoc {
    pub(crate) idleness: Option<Spanned<String>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WindowDoc {
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) tumbling: Option<TumblingDoc>,
    pub(crate) hopping: Option<HoppingDoc>,
    pub(crate) session: Option<SessionDoc>,
    pub(crate) grace: Option<Spanned<String>>,
    pub(crate) emit: Option<Spanned<EmitDoc>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TumblingDoc {
    pub(crate) size: Spanned<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoppingDoc {
    pub(crate) size: Spanned<String>,
    pub(crate) advance: Spanned<String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SessionDoc {
    pub(crate) gap: Spanned<String>,
}

/// `update`, `close`, or `{ every: 100ms }`.
pub(crate) enum EmitDoc {
    Named(String),
    Every(Spanned<String>),
}

impl<'de> Deserialize<'de> for EmitDoc {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EmitVisitor;

        impl<'de> Visitor<'de> for EmitVisitor {
            type Value = EmitDoc;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("`update`, `close`, or `{ every: 100ms }`")
            }

            fn visit_str<E>(self, text: &str) -> Result<EmitDoc, E> {
                Ok(EmitDoc::Named(text.to_owned()))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<EmitDoc, A::Error> {
                #[derive(serde::Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Interval {
                    every: Spanned<String>,
                }
                let Interval { every } = Interval::deserialize(MapAccessDeserializer::new(map))?;
                Ok(EmitDoc::Every(every))
            }
        }

        deserializer.deserialize_any(EmitVisitor)
    }
}
