//! The steps of a response, each a sentence in both languages, done or not and why.

use model::because::Because;
use model::finding::Text;
use model::wire::{ResponseState, ResponseStep};

/// A failure that people read in their own language.
pub trait Explain {
    fn because(&self) -> Because;
}

/// One step, as planned or as it went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub sentence: Text,
    /// `None`: not tried, only planned.
    pub outcome: Option<Result<(), Because>>,
}

impl Step {
    pub fn planned(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self { sentence: Text { en: en.into(), zh: zh.into() }, outcome: None }
    }

    #[must_use]
    pub fn done(mut self) -> Self {
        self.outcome = Some(Ok(()));
        self
    }

    #[must_use]
    pub fn failed(self, error: &impl Explain) -> Self {
        self.refused(error.because())
    }

    #[must_use]
    pub fn refused(mut self, why: Because) -> Self {
        self.outcome = Some(Err(why));
        self
    }

    pub fn is_done(&self) -> bool {
        matches!(self.outcome, Some(Ok(())))
    }

    pub fn to_wire(&self) -> ResponseStep {
        let why = match &self.outcome {
            Some(Err(why)) => why.clone(),
            _ => Because::default(),
        };
        ResponseStep {
            sentence: Some(self.sentence.clone().into()),
            done: self.is_done(),
            reason: why.text,
            why: why.reason.map(Into::into),
        }
    }
}

/// What became of the whole: nothing tried is a plan, nothing done a failure.
pub fn state(steps: &[Step]) -> ResponseState {
    let tried: Vec<bool> =
        steps.iter().filter_map(|it| it.outcome.as_ref()).map(Result::is_ok).collect();
    if tried.is_empty() {
        return if steps.is_empty() { ResponseState::Failed } else { ResponseState::Planned };
    }
    match (tried.iter().any(|it| *it), tried.iter().all(|it| *it)) {
        (true, true) => ResponseState::Done,
        (true, false) => ResponseState::Partial,
        _ => ResponseState::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_is_what_its_steps_are() {
        let planned = Step::planned("a", "b");
        let done = planned.clone().done();
        let failed = planned.clone().refused("no".into());
        for (steps, want) in [
            (vec![], ResponseState::Failed),
            (vec![planned.clone()], ResponseState::Planned),
            (vec![done.clone(), planned], ResponseState::Done),
            (vec![done, failed.clone()], ResponseState::Partial),
            (vec![failed.clone()], ResponseState::Failed),
        ] {
            assert_eq!(state(&steps), want, "{steps:?}");
        }
        assert_eq!(failed.to_wire().reason, "no");
    }
}
