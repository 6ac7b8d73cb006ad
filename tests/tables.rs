//! The Parquet files themselves: whole, and readable by every reader.

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use datafusion::parquet::basic::Encoding;
use datafusion::parquet::column::page::Page;
use datafusion::parquet::file::properties::ReaderProperties;
use datafusion::parquet::file::reader::{FileReader, SerializedFileReader};
use datafusion::parquet::file::serialized_reader::ReadOptionsBuilder;

use crate::support::{Workplace, files, table_files};

/// Readers reject a chunk whose pages refer to a dictionary that is not before them.
#[test]
fn pages_refer_to_a_dictionary_only_where_there_is_one_before_them() {
    for example in ["llm-tokens", "cloud-bill", "price-models"] {
        let place = Workplace::new();
        place.run_example(example);
        let tables = files(&place.path("data/tables")).into_iter().map(|(path, _)| path);
        // The checkpoint of a table's log is written by another writer.
        let tables = tables.filter(|path| !path.to_string_lossy().contains("_delta_log"));
        for path in tables.filter(|path| path.extension().is_some_and(|ending| ending == "parquet")) {
            check(&path);
        }
    }
}

fn check(path: &Path) {
    let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
    for group in 0..reader.num_row_groups() {
        let row_group = reader.get_row_group(group).unwrap();
        for column in 0..row_group.num_columns() {
            let chunk = row_group.metadata().column(column);
            let name = format!("{} {}", path.display(), chunk.column_path());
            let pages: Vec<Page> =
                row_group.get_column_page_reader(column).unwrap().collect::<Result<_, _>>().unwrap();
            let is_dictionary = |page: &Page| matches!(page, Page::DictionaryPage { .. });
            let refers = |page: &Page| !is_dictionary(page) && page.encoding() == Encoding::RLE_DICTIONARY;
            let has_dictionary = pages.first().is_some_and(is_dictionary);
            assert!(has_dictionary || !pages.iter().any(refers), "{name}: no dictionary");
            assert_eq!(chunk.dictionary_page_offset().is_some(), has_dictionary, "{name}: its offset");
            let values: u32 = pages.iter().filter(|page| !is_dictionary(page)).map(Page::num_values).sum();
            assert_eq!(i64::from(values), chunk.num_values(), "{name}: values");
            let is_list = chunk.column_path().parts().len() > 2;
            assert!(chunk.statistics().is_some() || is_list, "{name}: no statistics");
            let is_id = chunk.column_descr().name() == "accrual_id";
            assert_eq!(chunk.bloom_filter_offset().is_some(), is_id, "{name}: its Bloom filter");
        }
    }
}

/// An accrual is found through the Bloom filter of its id, and one that is not there is mostly known not to be.
#[test]
fn bloom_filters_know_the_ids_of_accruals() {
    let place = Workplace::new();
    place.run_example("price-models");
    let properties = ReaderProperties::builder().set_read_bloom_filter(true).build();
    let options = ReadOptionsBuilder::new().with_reader_properties(properties).build();
    let (_, bytes) = table_files(&place.path("data"), "accruals").remove(0);
    let reader = SerializedFileReader::new_with_options(Bytes::from(bytes), options).unwrap();
    let row_group = reader.get_row_group(0).unwrap();
    let is_id = |column: &usize| row_group.metadata().column(*column).column_descr().name() == "accrual_id";
    let filter =
        row_group.get_column_bloom_filter((0..row_group.num_columns()).find(is_id).unwrap()).unwrap();
    let bytes = |text: &str| {
        let digits = text.replace('-', "");
        let byte = |position: usize| u8::from_str_radix(&digits[position..position + 2], 16).unwrap();
        (0..32).step_by(2).map(byte).collect::<Vec<u8>>()
    };
    let ids = place.query("SELECT accrual_id FROM accruals");
    assert!(ids.len() > 50 && ids.iter().all(|id| filter.check(bytes(&id[0]).as_slice())));
    let strange = |number: u32| format!("0190f2b4-5c1d-7c3e-8a4b-{number:012x}");
    let wrong = (0..10_000).filter(|number| filter.check(bytes(&strange(*number)).as_slice())).count();
    assert!(wrong < 300, "{wrong} of 10,000 ids that are not there seem to be");
    assert!(filter.num_blocks() < 100, "the filter is folded to the ids there are");
}
