//! Tests of the catalog: documents in, positions and problems out.

mod effective_dates;
mod many_mistakes;
mod price_book_problems;
mod problems;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Catalog, Documents, Located, Origin, Problem, compile};

/// Documents as a catalog directory has them: one file per kind, one document per ten lines.
fn documents(written: &[Value]) -> Documents {
    let mut documents = Documents::default();
    for document in written {
        let mut document = document.clone();
        let kind = document.as_object_mut().unwrap().remove("kind").unwrap();
        let kind = kind.as_str().unwrap();
        match kind {
            "legal_entity" => push(&mut documents.legal_entities, kind, document),
            "meter" => push(&mut documents.meters, kind, document),
            "price_book" => push(&mut documents.price_books, kind, document),
            "contract" => push(&mut documents.contracts, kind, document),
            "csv_mapping" => push(&mut documents.csv_mappings, kind, document),
            other => panic!("there is no kind {other}"),
        }
    }
    documents
}

fn push<T: DeserializeOwned>(list: &mut Vec<Located<T>>, kind: &str, document: Value) {
    let line = u64::try_from(list.len()).unwrap() * 10 + 1;
    let file = format!("{}.yaml", kind.replace("entity", "entitie") + "s");
    let origin = Origin { file: Arc::from(file), line };
    list.push(Located { document: serde_json::from_value(document).unwrap(), origin });
}

fn catalog(written: &[Value]) -> Result<Catalog, Vec<Problem>> {
    compile(&documents(written))
}
