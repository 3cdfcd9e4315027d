//! The YAML as it is written, with the place of everything that can be wrong. Each type is at once what is read, what is
//! refused as unknown, and a part of the JSON Schema: they cannot differ.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::read::{Any, At, Entries, Number, Plain, Read, Reader};
use crate::yaml::{Kind, Node};

/// A mapping with known keys. A required key that is missing is a problem, and its field is `None` all the same, so that
/// what stands beside it is still looked at.
macro_rules! document {
    (
        $(#[$about:meta])*
        $name:ident, $expected:literal {
            $( $(#[$field_about:meta])* $kind:ident $key:literal $field:ident: $type:ty, )*
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, JsonSchema)]
        #[schemars(deny_unknown_fields)]
        pub(crate) struct $name {
            $( $(#[$field_about])* #[schemars(rename = $key)] pub(crate) $field: document!(@type $kind $type), )*
        }

        impl Read for $name {
            fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                let mut fields = reader.fields(node, $expected)?;
                let read = Self { $( $field: fields.$kind::<$type>($key, reader).into(), )* };
                fields.finish(reader);
                Some(read)
            }
        }
    };
    (@type required $type:ty) => { Needed<$type> };
    (@type optional $type:ty) => { Option<$type> };
}

/// What has to be there; `None` where a problem says that it is not.
#[derive(Debug)]
pub(crate) struct Needed<T>(pub(crate) Option<T>);

impl<T> From<Option<T>> for Needed<T> {
    fn from(value: Option<T>) -> Self {
        Self(value)
    }
}

impl<T: JsonSchema> JsonSchema for Needed<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

document! {
    /// A topology: topics, SmartModules, and the stages that lead from topic to topic. The computing happens in the broker.
    Document, "a topology with `name`, `topics` and `stages`" {
        /// Name of the topology, for people.
        required "name" name: At<String>,
        /// Topics that have to be there, by name.
        required "topics" topics: Entries<TopicDoc>,
        /// SmartModules, by the name that `uses` refers to.
        optional "smartmodules" smartmodules: Entries<At<ModuleDoc>>,
        /// Stages, by name. A stage may read what another one writes.
        required "stages" stages: Entries<At<StageDoc>>,
        /// How `fluvio consume -O full-table --table-format NAME` shows records, by the format's name on the cluster.
        optional "table-formats" table_formats: Entries<TableFormatDoc>,
        /// Tests, by name: `ovation topology test` runs them on the real SmartModules, without a broker.
        optional "tests" tests: Entries<At<TestDoc>>,
    }
}

document! {
    /// A topic.
    TopicDoc, "a topic's settings, such as `{ partitions: 4 }`" {
        /// Number of partitions. A stage writes partition n of its source to partition n of its sink.
        required "partitions" partitions: At<Number>,
        /// How long records are kept; the broker's defaults where nothing is said.
        optional "retention" retention: RetentionDoc,
        /// Whether the broker itself refuses what does not continue what is stored. Everything that a stage writes results or
        /// dead letters to has to be fenced.
        optional "fence" fence: bool,
        /// Whether programs other than the stages use it. It is made and kept like the others, and nobody wonders that no stage
        /// reads or writes it.
        optional "external" external: bool,
    }
}

document! {
    /// How long a topic keeps its records.
    RetentionDoc, "`time`, `size` or both" {
        /// Age at which records may go, such as `7d`.
        optional "time" time: At<String>,
        /// Size of a partition above which old records may go, such as `10GiB`.
        optional "size" size: At<String>,
    }
}

document! {
    /// A SmartModule: one that ships with the program, or a file.
    ModuleDoc, "a SmartModule's `builtin` or `path`" {
        /// Name of a SmartModule that ships with the program, such as `ovation-window`.
        optional "builtin" builtin: At<String>,
        /// A `.wasm` file; a relative path begins at this file's folder.
        optional "path" path: At<String>,
        /// Name on the cluster, for people who use it from the command line. Without one the name holds a hash of the module's
        /// bytes, so that two versions never meet under one name.
        optional "name" name: At<String>,
        /// Whether it keeps state of its own under the processor contract. One that counts in windows does anyway.
        optional "stateful" stateful: bool,
    }
}

document! {
    /// A chain of SmartModules from a source topic to a sink topic.
    StageDoc, "a stage with `source`, `transforms` and `sink`" {
        /// Topic that is read.
        required "source" source: At<String>,
        /// SmartModules in order; the last one may hold state.
        required "transforms" transforms: Vec<TransformDoc>,
        /// Topic for results; belongs to this stage alone.
        required "sink" sink: At<String>,
        /// Topic for what was rejected or came too late; belongs to this stage alone.
        optional "dead-letter" dead_letter: At<String>,
        /// Topic for the state that a restart begins with. Several stages may share one.
        optional "checkpoints" checkpoints: At<String>,
    }
}

document! {
    /// A step of a stage.
    TransformDoc, "a step such as `uses: NAME`" {
        /// Name of a SmartModule under `smartmodules`. The same one may be used again with other parameters.
        required "uses" uses: At<String>,
        /// Parameters of the SmartModule. `${NAME}` and `${NAME:-default}` come from the environment.
        optional "with" with: Entries<At<Plain>>,
        /// The window that it counts in; only for the last step.
        optional "window" window: At<WindowDoc>,
        /// The windows that it counts in, if there are several.
        optional "windows" windows: At<Vec<At<WindowDoc>>>,
        /// How stream time follows the clock where traffic stops.
        optional "watermark" watermark: At<WatermarkDoc>,
    }
}

document! {
    /// How stream time follows the clock where traffic stops.
    WatermarkDoc, "`{ idleness: 1s }`" {
        /// After how much quiet the clock takes over, such as `1s`.
        optional "idleness" idleness: At<String>,
    }
}

document! {
    /// A window: one of `tumbling`, `hopping` and `session`.
    WindowDoc, "a window such as `tumbling: { size: 10s }`" {
        /// Name, part of every result; made of the times if there is none.
        optional "name" name: At<String>,
        /// Windows side by side.
        optional "tumbling" tumbling: TumblingDoc,
        /// Overlapping windows.
        optional "hopping" hopping: HoppingDoc,
        /// Windows that last while records keep coming.
        optional "session" session: SessionDoc,
        /// How long after its end a window still takes records, in stream time.
        optional "grace" grace: At<String>,
        /// When results come.
        optional "emit" emit: At<EmitDoc>,
    }
}

document! {
    /// Windows side by side.
    TumblingDoc, "`{ size: 10s }`" {
        /// Time that a window spans.
        required "size" size: At<String>,
    }
}

document! {
    /// Overlapping windows.
    HoppingDoc, "`{ size: 1m, advance: 10s }`" {
        /// Time that a window spans.
        required "size" size: At<String>,
        /// Time from one window's start to the next one's.
        required "advance" advance: At<String>,
    }
}

document! {
    /// Windows that last while records keep coming.
    SessionDoc, "`{ gap: 30s }`" {
        /// Quiet time that ends a session.
        required "gap" gap: At<String>,
    }
}

document! {
    /// Least time between two updates.
    IntervalDoc, "`{ every: 100ms }`" {
        /// Least time between two updates of one window.
        required "every" every: At<String>,
    }
}

/// `update`, `close`, or `{ every: 100ms }`.
#[derive(Debug)]
pub(crate) enum EmitDoc {
    Named(String),
    Every(Option<At<String>>),
}

impl Read for EmitDoc {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(_) => IntervalDoc::read(node, reader).map(|interval| EmitDoc::Every(interval.every.0)),
            Kind::Scalar(_) => String::read(node, reader).map(EmitDoc::Named),
            _ => {
                reader.unexpected(node, "`update`, `close`, or `{ every: 100ms }`");
                None
            }
        }
    }
}

impl JsonSchema for EmitDoc {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "EmitDoc".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let interval = generator.subschema_for::<IntervalDoc>();
        schemars::json_schema!({
            "description": "`update`: running results and a final; `close`: the final alone; `{ every: 100ms }`: running results at this pace.",
            "anyOf": [{ "enum": ["update", "close"] }, { "type": "string", "pattern": r"\$\{.+\}" }, interval]
        })
    }
}

document! {
    /// How `fluvio consume` shows records as a table.
    TableFormatDoc, "a table format with `columns`" {
        /// Columns from left to right.
        required "columns" columns: At<Vec<ColumnDoc>>,
    }
}

document! {
    /// A column.
    ColumnDoc, "a column such as `{ key: room }`" {
        /// Which field of the record's JSON object it shows. The `fluvio` CLI does not look into objects.
        required "key" key: At<String>,
        /// Its heading; the key if there is none.
        optional "header" header: At<String>,
        /// Whether a record with the same value here takes the row over.
        optional "primary" primary: bool,
    }
}

document! {
    /// A test of a stage, on the real SmartModules and without a broker. Times count from the test's start; `"@10s"` anywhere in a
    /// value is that time as a number of milliseconds.
    TestDoc, "a test with `inputs` and what is expected" {
        /// Stage under test; the first one if absent. What it writes is read by the stages behind it.
        optional "stage" stage: At<String>,
        /// Records and ticks in order.
        required "inputs" inputs: At<Vec<At<InputDoc>>>,
        /// All results of the stage, in order; not looked at if absent.
        optional "results" results: ExpectedDoc,
        /// All dead letters of the stage, in order; not looked at if absent.
        optional "dead-letters" dead_letters: ExpectedDoc,
        /// What is expected of the stages behind it, by stage.
        optional "downstream" downstream: Entries<OutcomeDoc>,
        /// Stages that are to give neither results nor dead letters.
        optional "no-output-from" no_output_from: Vec<At<String>>,
        /// The same as `no-output-from`.
        optional "no_output_from" no_output_from_snake: Vec<At<String>>,
    }
}

document! {
    /// What is expected of a stage.
    OutcomeDoc, "`results`, `dead-letters` or both" {
        /// All its results, in order.
        optional "results" results: ExpectedDoc,
        /// All its dead letters, in order.
        optional "dead-letters" dead_letters: ExpectedDoc,
    }
}

document! {
    /// A record of the source, or a tick.
    InputDoc, "a record such as `{ at: 1s, key: a, value: text }`, or `{ tick: 10s }`" {
        /// Time of the record since the test's start; as before if absent.
        optional "at" at: At<String>,
        /// Key of the record.
        optional "key" key: At<String>,
        /// Value of the record: a text goes in as it is, everything else as JSON.
        optional "value" value: Any,
        /// Moves stream time to this time since the test's start.
        optional "tick" tick: At<String>,
    }
}

document! {
    /// A record that is expected.
    RecordDoc, "a record such as `{ key: a, value: { total: 3 } }`" {
        /// Its key; not looked at if absent.
        optional "key" key: At<String>,
        /// Its value. Of a mapping only the fields that are given are looked at; a text has to be the whole value.
        optional "value" value: Any,
    }
}

/// A list of records, with its bytes in the file, so that it can be rewritten.
#[derive(Debug)]
pub(crate) struct ExpectedDoc {
    pub(crate) node: Node,
    pub(crate) records: Vec<RecordDoc>,
}

impl Read for ExpectedDoc {
    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        // A list that cannot be read is one all the same, so that nobody misses it.
        let records = Vec::read(node, reader).unwrap_or_default();
        Some(Self { node: node.clone(), records })
    }
}

impl JsonSchema for ExpectedDoc {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "ExpectedDoc".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<RecordDoc>::json_schema(generator)
    }
}

/// The JSON Schema of a topology file, for editors.
pub(crate) fn schema() -> serde_json::Value {
    let mut schema = SchemaGenerator::default().into_root_schema_for::<Document>();
    schema.insert("title".to_owned(), "Ovation topology".into());
    schema.to_value()
}
