//! Rows as people or programs want them.

use std::io::Write;

use comfy_table::{Table, presets};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv;
use datafusion::arrow::datatypes::Schema;
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::ArrayWriter;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use driftline_core::terminal;

use crate::JobError;

/// How rows are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// A table, for people.
    Table,
    /// Values with commas between them, and a line of names.
    Csv,
    /// A list of objects.
    Json,
}

/// Prints rows.
pub fn print(out: &mut impl Write, form: Form, schema: &Schema, rows: &[RecordBatch]) -> Result<(), JobError> {
    match form {
        Form::Table => table(out, schema, rows),
        Form::Csv => {
            let mut writer = csv::Writer::new(&mut *out);
            // The names are told where there are no rows, too.
            let none = [RecordBatch::new_empty(schema.clone().into())];
            let rows = if rows.is_empty() { &none } else { rows };
            rows.iter().try_for_each(|batch| writer.write(batch)).map_err(failed)
        }
        Form::Json => {
            let mut writer = ArrayWriter::new(&mut *out);
            rows.iter().try_for_each(|batch| writer.write(batch)).and_then(|()| writer.finish()).map_err(failed)?;
            writeln!(out)?;
            Ok(())
        }
    }
}

fn table(out: &mut impl Write, schema: &Schema, rows: &[RecordBatch]) -> Result<(), JobError> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(schema.fields().iter().map(|field| terminal(field.name()).into_owned()));
    let options = FormatOptions::default().with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.3fZ"));
    for batch in rows {
        let columns: Result<Vec<_>, _> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column.as_ref(), &options)).collect();
        let columns = columns.map_err(failed)?;
        for row in 0..batch.num_rows() {
            // Whatever stands in events may come from anybody.
            table.add_row(columns.iter().map(|column| terminal(&column.value(row).to_string()).into_owned()));
        }
    }
    writeln!(out, "{table}")?;
    Ok(())
}

fn failed(error: ArrowError) -> JobError {
    match error {
        ArrowError::IoError(_, error) => error.into(),
        error => JobError::Failed(error.to_string()),
    }
}
