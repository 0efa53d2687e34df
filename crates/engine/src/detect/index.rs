//! Which rules can hold for an event.

use super::Loaded;
use crate::event::{Category, Event};
use crate::sigma::expression::Tests;

/// Rules by the category of the events that they are asked about.
#[derive(Debug)]
pub(super) struct Index {
    by_category: Vec<Vec<usize>>,
}

impl Index {
    pub(super) fn new(rules: &[Loaded], _tests: &Tests) -> Self {
        let of = |category: &Category| {
            let meant =
                |it: &Loaded| it.query.as_ref().is_some_and(|it| it.categories.contains(category));
            (0..rules.len()).filter(|it| rules.get(*it).is_some_and(meant)).collect()
        };
        Self { by_category: Category::ALL.iter().map(of).collect() }
    }

    /// The rules that hold for the event.
    pub(super) fn hold(
        &mut self,
        event: &Event,
        tests: &Tests,
        rules: &[Loaded],
        held: &mut Vec<usize>,
    ) {
        let places = self.by_category.get(event.category as usize).map_or(&[][..], Vec::as_slice);
        for place in places {
            let Some(rule) = rules.get(*place).filter(|it| !it.disabled) else { continue };
            let Some(query) = &rule.query else { continue };
            if query.expr.holds(&mut |id| tests.holds(id, event)) {
                held.push(*place);
            }
        }
    }
}
