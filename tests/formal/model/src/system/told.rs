//! A run told as a sequence diagram.

use std::fmt::Write as _;

/// Who takes part, in the order of the diagram.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Holder(usize),
    Thief,
    Server,
    Resource,
}

/// What has happened, line by line.
#[derive(Debug, Default)]
pub(crate) struct Told {
    lines: Vec<String>,
    ticks: u32,
    present: [bool; 5],
}

impl Who {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Holder(0), "A as client"),
        (Self::Holder(1), "B as second client"),
        (Self::Thief, "T as thief"),
        (Self::Server, "S as authorization server"),
        (Self::Resource, "R as resource server"),
    ];

    fn letter(self) -> &'static str {
        let place = Self::ALL.iter().position(|(who, _)| *who == self);
        &Self::ALL[place.expect("all are listed")].1[..1]
    }
}

impl Told {
    fn line(&mut self, text: String) {
        if self.ticks > 0 {
            let ticks = std::mem::take(&mut self.ticks);
            let plural = if ticks == 1 { "" } else { "s" };
            self.lines.push(format!("Note over S: {ticks} tick{plural} later"));
            self.meets(Who::Server);
        }
        self.lines.push(text);
    }

    fn meets(&mut self, who: Who) {
        for (place, (one, _)) in Who::ALL.iter().enumerate() {
            self.present[place] |= *one == who;
        }
    }

    pub(super) fn tick(&mut self) {
        self.ticks += 1;
    }

    pub(super) fn arrow(&mut self, from: Who, to: Who, text: &str, arrives: bool) {
        self.meets(from);
        self.meets(to);
        let arrow = if arrives { "->>" } else { "-x" };
        self.line(format!("{}{arrow}{}: {text}", from.letter(), to.letter()));
    }

    pub(super) fn note(&mut self, who: Who, text: &str) {
        self.meets(who);
        self.line(format!("Note over {}: {text}", who.letter()));
    }

    /// The diagram, in mermaid's language.
    pub(super) fn diagram(&self) -> String {
        let mut text = "```mermaid\nsequenceDiagram\n".to_owned();
        for ((_, name), _) in Who::ALL.iter().zip(self.present).filter(|(_, present)| *present) {
            let _ = writeln!(text, "    participant {name}");
        }
        for line in &self.lines {
            let _ = writeln!(text, "    {line}");
        }
        text.push_str("```\n");
        text
    }
}
