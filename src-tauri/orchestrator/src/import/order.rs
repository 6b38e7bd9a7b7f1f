//! In which order missions can be made so that each finds what it depends on.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::Imported;
use super::faults::{Faults, ImportError};

/// An order in which every mission comes after those it depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ordered {
    /// Positions in the list of missions, as near to the document's order as can be.
    pub order: Vec<usize>,
    /// Dependencies that are not in the document: ids of missions there are, or mistakes.
    pub unresolved: Vec<Unresolved>,
}

/// A dependency that is not in the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    /// The position of the mission that names it.
    pub mission: usize,
    /// What it names.
    pub id: String,
}

/// Orders missions by their dependencies.
///
/// # Errors
/// When missions wait for each other in a circle; the circle is named.
pub fn order(missions: &[Imported]) -> Result<Ordered, ImportError> {
    let mut at: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, mission) in missions.iter().enumerate() {
        at.entry(&mission.external_id).or_insert(index);
    }
    let mut unresolved = Vec::new();
    let mut waits_for: Vec<Vec<usize>> = vec![Vec::new(); missions.len()];
    let mut awaited_by: Vec<Vec<usize>> = vec![Vec::new(); missions.len()];
    for (index, mission) in missions.iter().enumerate() {
        for id in &mission.depends_on {
            match at.get(id.as_str()) {
                None => unresolved.push(Unresolved { mission: index, id: id.clone() }),
                Some(other) => {
                    waits_for[index].push(*other);
                    awaited_by[*other].push(index);
                }
            }
        }
    }
    let mut open: Vec<usize> = waits_for.iter().map(Vec::len).collect();
    let free = open.iter().enumerate().filter(|(_, open)| **open == 0).map(|(at, _)| Reverse(at));
    let mut free: BinaryHeap<_> = free.collect();
    let mut order = Vec::with_capacity(missions.len());
    while let Some(Reverse(index)) = free.pop() {
        order.push(index);
        for waiting in &awaited_by[index] {
            open[*waiting] -= 1;
            if open[*waiting] == 0 {
                free.push(Reverse(*waiting));
            }
        }
    }
    match open.iter().position(|open| *open > 0) {
        None => Ok(Ordered { order, unresolved }),
        Some(first) => Err(circle(missions, &waits_for, &open, first)),
    }
}

/// Follows dependencies that never get free until one is met again.
fn circle(
    missions: &[Imported],
    waits_for: &[Vec<usize>],
    open: &[usize],
    first: usize,
) -> ImportError {
    let mut path = vec![first];
    let from = loop {
        let last = path[path.len() - 1];
        let next = waits_for[last].iter().find(|other| open[**other] > 0);
        let next = *next.expect("what never gets free waits for something that never does");
        if let Some(from) = path.iter().position(|known| *known == next) {
            path.push(next);
            break from;
        }
        path.push(next);
    };
    let names: Vec<_> = path[from..].iter().map(|at| missions[*at].external_id.as_str()).collect();
    let mut faults = Faults::default();
    let message = format!("missions wait for each other: {}", names.join(" → "));
    faults.add(missions[path[from]].line, message, "remove one of these dependencies");
    faults.end().expect_err("a problem was noted")
}
