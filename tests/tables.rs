//! The Parquet files themselves: whole, and readable by every reader.

use std::fs::File;
use std::path::Path;

use datafusion::parquet::basic::Encoding;
use datafusion::parquet::column::page::Page;
use datafusion::parquet::file::properties::ReaderProperties;
use datafusion::parquet::file::reader::{FileReader, SerializedFileReader};
use datafusion::parquet::file::serialized_reader::ReadOptionsBuilder;

use crate::support::{Workplace, files};

/// Readers reject a chunk whose pages refer to a dictionary that is not before them.
#[test]
fn pages_refer_to_a_dictionary_only_where_there_is_one_before_them() {
    for example in ["llm-tokens", "cloud-bill", "price-models"] {
        let place = Workplace::new();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example);
        let [catalog, usage] = ["catalog", "usage"].map(|part| example.join(part).display().to_string());
        assert_eq!(place.call(&["run", "-q", "-c", &catalog, &usage]).code, 0);
        let tables = files(&place.path("results")).into_iter().map(|(path, _)| path);
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
            let is_id = ["event_id", "event_uuid", "accrual_id", "accrual_key"]
                .contains(&chunk.column_descr().name());
            let has_ids = chunk.statistics().is_some_and(|statistics| statistics.min_bytes_opt().is_some());
            assert_eq!(chunk.bloom_filter_offset().is_some(), is_id && has_ids, "{name}: its Bloom filter");
        }
    }
}

/// An id is found through its Bloom filter, and one that is not there is mostly known not to be.
#[test]
fn bloom_filters_know_their_ids() {
    let place = Workplace::with_catalog(crate::command_line::CATALOG);
    let uuid = |number: u32| format!("0190f2b4-5c1d-7c3e-8a4b-{:012x}", number * 7_919);
    let events: Vec<_> = (0..2_000)
        .flat_map(|number| {
            [crate::command_line::good(&uuid(number)), crate::command_line::good(&format!("event {number}"))]
        })
        .collect();
    place.write("events.ndjson", events.join("\n"));
    place.run(&["events.ndjson"]);
    let path = place.path("results/rated_usage/part-00000.parquet");
    let properties = ReaderProperties::builder().set_read_bloom_filter(true).build();
    let options = ReadOptionsBuilder::new().with_reader_properties(properties).build();
    let reader = SerializedFileReader::new_with_options(File::open(path).unwrap(), options).unwrap();
    let row_group = reader.get_row_group(0).unwrap();
    let [texts, uuids] = [1, 2].map(|column| row_group.get_column_bloom_filter(column).unwrap());
    let bytes = |number: u32| {
        let text = uuid(number).replace('-', "");
        let byte = |position: usize| u8::from_str_radix(&text[position..position + 2], 16).unwrap();
        (0..32).step_by(2).map(byte).collect::<Vec<_>>()
    };
    assert!((0..2_000).all(|number| texts.check(format!("event {number}").as_str())));
    assert!((0..2_000).all(|number| uuids.check(bytes(number).as_slice())));
    let wrong = (2_000..12_000).filter(|number| uuids.check(bytes(*number).as_slice())).count();
    assert!(wrong < 300, "{wrong} of 10,000 ids that are not there seem to be");
    assert!(uuids.num_blocks() < 1_000, "the filter is folded to the ids there are");
}
