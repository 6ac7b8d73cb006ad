//! Taking a catalog into force, and where its files lie.

use std::sync::Arc;

use axum::http::StatusCode;
use serde::Serialize;

use super::Applied;
use super::comparison::Comparison;
use crate::catalog_source::{Candidate, CatalogRefusal, CatalogSource};
use crate::engine::CatalogChange;
use crate::http::Service;
use crate::http::off_loop::off_the_loop;
use crate::http::problem::Problem;

impl Service {
    /// Works with the source of catalogs, off the event loop.
    pub(in crate::http) async fn with_catalogs<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn CatalogSource) -> Result<T, CatalogRefusal> + Send + 'static,
    ) -> Result<T, Problem> {
        let source = self.sources.get().and_then(|sources| sources.catalogs.clone()).ok_or_else(|| {
            let detail = "this service has one catalog: start it again with another";
            Problem::new(StatusCode::NOT_IMPLEMENTED, "catalog_is_fixed", detail)
        })?;
        Ok(off_the_loop(move || work(&*source)).await??)
    }

    /// Takes a catalog into force, and puts it where the next start reads it. The lock is held.
    pub(in crate::http) async fn install(&self, candidate: Candidate) -> Result<Applied, Problem> {
        if let Some(conflict) = self.engine.try_catalog(Arc::clone(&candidate.catalog)).await? {
            return Err(conflicting(conflict));
        }
        let files = candidate.files.clone();
        let before = self
            .with_catalogs(move |source| {
                // A directory that is not sound is replaced all the same, and not put back.
                let before = source.read().ok();
                source.install(&files)?;
                Ok(before)
            })
            .await?;
        let applied = self.apply(candidate).await;
        if applied.is_err()
            && let Some(before) = before
        {
            // IMPORTANT: the next start must not read what was refused.
            self.with_catalogs(move |source| source.install(&before.files)).await?;
        }
        applied
    }

    /// Takes a catalog into force.
    pub(super) async fn apply(&self, candidate: Candidate) -> Result<Applied, Problem> {
        let in_force = self.engine.in_force();
        let kept = candidate.clone();
        // IMPORTANT: before the first epoch that names it.
        self.with_catalogs(move |source| source.keep(&kept)).await?;
        let change = self.engine.change_catalog(candidate.hash, Arc::clone(&candidate.catalog)).await?;
        match change {
            CatalogChange::InForce(epoch) => {
                let mut comparison = Comparison::new(&in_force, &candidate, None);
                comparison.is_in_force = true;
                Ok(Applied { epoch, comparison })
            }
            CatalogChange::Refused(conflict) => Err(conflicting(conflict)),
        }
    }
}

fn conflicting(conflict: String) -> Problem {
    Problem::new(StatusCode::CONFLICT, "catalog_conflict", conflict)
}

impl From<CatalogRefusal> for Problem {
    fn from(refusal: CatalogRefusal) -> Self {
        #[derive(Serialize)]
        struct Mistake {
            file: String,
            line: u64,
            path: String,
            message: String,
            mend: String,
        }
        let text = refusal.to_string();
        match refusal {
            CatalogRefusal::Problems(problems) => {
                let mistake = |problem: rating::catalog::Problem| Mistake {
                    file: problem.origin.file.to_string(),
                    line: problem.origin.line,
                    path: problem.path,
                    message: problem.message,
                    mend: problem.mend,
                };
                let mistakes: Vec<Mistake> = problems.into_iter().map(mistake).collect();
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Self::new(status, "invalid_catalog", text).member("problems", &mistakes)
            }
            CatalogRefusal::Unusable(_) => Self::bad_request("not_a_catalog", text),
            CatalogRefusal::Storage(_) => {
                tracing::error!(error = text, "the catalog cannot be read or written");
                let detail = format!("the catalog cannot be read or written: {text}");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "catalog_storage", detail)
            }
        }
    }
}
