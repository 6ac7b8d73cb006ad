//! The Parquet files themselves: whole, and readable by every reader.

use std::fs::File;
use std::path::Path;

use datafusion::parquet::basic::Encoding;
use datafusion::parquet::column::page::Page;
use datafusion::parquet::file::reader::{FileReader, SerializedFileReader};

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
        }
    }
}
