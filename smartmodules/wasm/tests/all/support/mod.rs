//! A chain of modules as the broker runs it, and what comes out of it.

use fluvio_protocol::record::Record;
use fluvio_smartengine::{
    Lookback, SmartEngine, SmartModuleChainBuilder, SmartModuleChainInstance, SmartModuleConfig,
};
use fluvio_smartmodule::SMARTMODULE_TIMESTAMPS_VERSION as VERSION;
use fluvio_smartmodule::dataplane::smartmodule::SmartModuleInput;
use serde_json::{Value, json};

/// A record timestamp; times in these tests count from here.
pub(crate) const T0: i64 = 1_795_426_840_000;

pub(crate) struct Chain(pub SmartModuleChainInstance);

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Out {
    pub key: Option<String>,
    pub value: String,
}

impl Out {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.value).expect("a JSON value")
    }

    pub(crate) fn tag(&self) -> Option<&str> {
        self.key.as_deref().and_then(|key| key.strip_prefix('\u{1}'))
    }
}

/// A chain whose modules all get the same parameters.
pub(crate) fn chain(modules: &[&[u8]], params: &[(&str, String)], lookback: bool) -> Result<Chain, String> {
    let modules: Vec<_> = modules.iter().map(|wasm| (*wasm, params.to_vec())).collect();
    chain_of(&modules, lookback)
}

/// A module with its parameters.
pub(crate) type Module<'a> = (&'a [u8], Vec<(&'a str, String)>);

/// A chain whose modules have parameters of their own.
pub(crate) fn chain_of(modules: &[Module<'_>], lookback: bool) -> Result<Chain, String> {
    let mut builder = SmartModuleChainBuilder::default();
    for (wasm, params) in modules {
        let mut config = SmartModuleConfig::builder();
        for (name, value) in params {
            config.param(*name, value);
        }
        if lookback {
            config.lookback(Some(Lookback::Last(2)));
        }
        let config = config.smartmodule_names(vec!["test".to_owned()]).build().expect("a config");
        builder.add_smart_module(config, wasm.to_vec());
    }
    builder.initialize(&SmartEngine::new()).map(Chain).map_err(|error| format!("{error:#}"))
}

impl Chain {
    pub(crate) fn run(&mut self, base_offset: i64, records: &[(&str, String)]) -> Vec<Out> {
        self.call(base_offset, records).expect("no error from a transform")
    }

    pub(crate) fn call(&mut self, base_offset: i64, records: &[(&str, String)]) -> Result<Vec<Out>, String> {
        let records: Vec<Record> = records
            .iter()
            .enumerate()
            .map(|(delta, (key, value))| {
                let mut record = match key {
                    &"" => Record::new(value.as_str()),
                    key => Record::new_key_value(*key, value.as_str()),
                };
                record.preamble.set_offset_delta(delta as i64);
                record
            })
            .collect();
        let mut input = SmartModuleInput::try_from_records(records, VERSION).expect("encodes");
        input.set_base_offset(base_offset);
        input.set_base_timestamp(T0);
        let output = self.0.process(input).expect("the engine runs it");
        if let Some(error) = output.error {
            assert!(output.successes.is_empty(), "a refused batch is refused whole");
            return Err(error.hint);
        }
        let text = |data: &[u8]| String::from_utf8(data.to_vec()).expect("text");
        Ok(output
            .successes
            .iter()
            .map(|record| Out { key: record.key.as_ref().map(|key| text(key)), value: text(&record.value) })
            .collect())
    }
}

pub(crate) fn tick(at_ms: i64) -> (String, String) {
    ("\u{1}tick".to_owned(), json!({"tick": T0 + at_ms}).to_string())
}

pub(crate) fn borrowed(records: &[(String, String)]) -> Vec<(&str, String)> {
    records.iter().map(|(key, value)| (key.as_str(), value.clone())).collect()
}

pub(crate) fn of_tag<'a>(outs: &'a [Out], tag: Option<&str>) -> Vec<&'a Out> {
    outs.iter().filter(|out| out.tag() == tag).collect()
}
