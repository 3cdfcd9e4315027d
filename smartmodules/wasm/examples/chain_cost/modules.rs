//! The modules, natively and in Fluvio's engine, all with the settings that a stage has.

use fluvio_smartengine::{SmartEngine, SmartModuleChainBuilder, SmartModuleChainInstance, SmartModuleConfig};
use fluvio_smartmodule::SMARTMODULE_TIMESTAMPS_VERSION as VERSION;
use fluvio_smartmodule::dataplane::smartmodule::SmartModuleInput;
use ovation_shell::{Batch, Contract, Output, Params, Transform};
use ovation_validate::Validate;
use ovation_window::Window;

use crate::data::Records;

const NEVER: &str = "1000000000";

/// What a module is opened with.
pub(crate) type Settings = Vec<(&'static str, String)>;

/// What a stage like that of `topology.yaml` gives its modules.
pub(crate) fn params(window_ms: u64, checkpoints: bool) -> Settings {
    let windows = format!(
        r#"[{{"name":"window","shape":{{"tumbling":{{"size_ms":{window_ms}}}}},"grace_ms":2000,"emit":{{"update":{{"every_ms":100}}}}}}]"#
    );
    let mut params = vec![("ovation.stage", "reactions".to_owned()), ("ovation.windows", windows)];
    if !checkpoints {
        let never = || NEVER.to_owned();
        params.extend([("ovation.checkpoint.records", never()), ("ovation.checkpoint.interval-ms", never())]);
    }
    params
}

/// The same where `window` does the work of `validate` as well, as the topology engine tells it to.
pub(crate) fn together(mut params: Settings) -> Settings {
    params.push(("ovation.includes", "ovation-validate".to_owned()));
    params
}

/// `validate ▸ window` as Rust runs it, bytes in and bytes out.
pub(crate) struct Native(Contract<Window>);

impl Native {
    pub(crate) fn open(settings: &Settings) -> Self {
        let params: Params = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Self(Contract::open(&params).expect("opens"))
    }

    /// Answers how many records came out. Not inlined, so that a profiler finds it.
    #[inline(never)]
    pub(crate) fn take(&mut self, records: &Records) -> usize {
        let mut out = Output::default();
        self.0.transform(&batch(records), &mut out).expect("no failure");
        out.len()
    }
}

/// What `validate` makes of records.
pub(crate) fn validated(validate: &mut Validate, records: &Records) -> Records {
    let mut out = Output::default();
    validate.transform(&batch(records), &mut out).expect("no failure");
    let mut bytes = out.finish(None, VERSION);
    // Whether there was an error, which is no part of the records.
    bytes.pop();
    Records { bytes, ..*records }
}

fn batch(records: &Records) -> Batch<'_> {
    Batch::from_records(records.base_offset, records.base_timestamp, &records.bytes).expect("own bytes")
}

/// Modules in the engine that a broker runs them in.
pub(crate) struct Engine(SmartModuleChainInstance);

impl Engine {
    /// `packed`: whether modules hand over what a call answers in one record, as the topology engine tells those that stay apart.
    pub(crate) fn open(modules: &[&[u8]], params: &Settings, packed: bool) -> Self {
        let mut builder = SmartModuleChainBuilder::default();
        for (number, wasm) in modules.iter().enumerate() {
            let mut config = SmartModuleConfig::builder();
            for (name, value) in params {
                config.param(*name, value.as_str());
            }
            if packed && number > 0 {
                config.param("ovation.unpack", "1");
            }
            if packed && number + 1 < modules.len() {
                config.param("ovation.pack", "1");
            }
            let config = config.smartmodule_names(vec!["measured".to_owned()]).build().expect("a config");
            builder.add_smart_module(config, wasm.to_vec());
        }
        Self(builder.initialize(&SmartEngine::new()).expect("opens"))
    }

    /// Answers how many records came out.
    pub(crate) fn take(&mut self, records: &Records) -> usize {
        let input = SmartModuleInput::new(records.bytes.clone(), records.base_offset, records.base_timestamp);
        let output = self.0.process(input).expect("runs");
        assert!(output.error.is_none(), "no module of these refuses a batch");
        output.successes.len()
    }
}
