//! Long histories of events, under any policy and with a clock that does as it likes: the machine
//! answers as a model of the rules that was written another way. Rules A1, A5 and all of B.
#![cfg_attr(not(test), no_main)]

#[path = "events/history.rs"]
mod history;
#[path = "../../tests/machine/lifecycle/model.rs"]
mod model;
#[path = "../../tests/machine/lifecycle/told.rs"]
mod told;

use perennial::lifecycle::{Generation, Lifecycle};
use perennial_fuzz::Draws;

use model::Model;
use told::{at, event, life, policy, reply};

#[cfg(not(test))]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property(bytes));

pub(crate) fn property(bytes: &[u8]) {
    let mut draws = Draws::new(bytes);
    let rules = history::rules(&mut draws);
    let (policy, mut model, mut machine) = (policy(&rules), Model::new(rules), Lifecycle::new(1));
    while !draws.is_over() {
        let instant = history::now(&mut draws, &model);
        let told = history::told(&mut draws, &model, instant);
        let (now, expected) = (at(instant), model.tell(told, instant));
        let found = reply(machine.handle(&policy, event(told), now));
        assert_eq!(found, expected, "{told:?} at {instant}");
        assert_eq!((machine.state(now), machine.ending()), (model.state(), model.ending()));
        assert_eq!(machine.generation().map(Generation::number), model.held_number());
        assert_eq!(life(&machine), model.held_life());
        assert!(machine.poll_timeout(&policy, now).is_none_or(|next| next.at > now));
    }
}
