//! Table formats.

use super::Check;
use crate::document::TableFormatDoc;
use crate::read::Entries;
use crate::spec::{Column, TableFormat};

/// Columns of a table at most: nobody's screen has more.
const COLUMNS_MAX: usize = 64;

impl Check<'_> {
    pub(super) fn table_formats(&mut self, documents: Option<&Entries<TableFormatDoc>>) -> Vec<TableFormat> {
        let mut formats = Vec::new();
        for (name, document) in documents.iter().flat_map(|documents| &documents.0) {
            self.name(name, "a table format");
            let Some(columns) = document.as_ref().and_then(|document| document.columns.0.as_ref()) else {
                continue;
            };
            if !(1..=COLUMNS_MAX).contains(&columns.value.len()) {
                let message = format!("a table has 1 to {COLUMNS_MAX} columns, not {}", columns.value.len());
                self.problem(columns.place, message, None);
            }
            for key in columns.value.iter().filter_map(|column| column.key.0.as_ref()) {
                if key.value.contains('.') {
                    let message = format!(
                        "column {:?} would be empty: it is taken for the name of one field",
                        key.value
                    );
                    let help = "the `fluvio` CLI does not look into objects; show the whole of it".to_owned();
                    self.warning(key.place, message, Some(help));
                }
            }
            let columns = columns.value.iter().filter_map(|column| {
                Some(Column {
                    key: column.key.0.as_ref()?.value.clone(),
                    header: column.header.as_ref().map(|header| header.value.clone()),
                    primary: column.primary == Some(true),
                })
            });
            formats.push(TableFormat { name: name.value.clone(), columns: columns.collect() });
        }
        formats
    }
}
