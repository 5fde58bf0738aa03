//! z3 on a pipe, twice. The [`Asker`] keeps what is assumed pushed and pops it again, and says what is
//! possible, in integers. The [`Confirmer`] is told each of those answers, and must come to the same
//! in bit vectors.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::{JoinHandle, spawn};

use perennial::time::{Span, Timestamp};
use rustc_hash::FxHashSet;

use super::encode::Encoding;
use super::term::{Arena, Place, Question, Sort, parts};
use super::value::{Model, Value};

/// A comparison and whether it is taken to hold.
pub type Assumption = (Question, bool);

/// What a solver says.
#[derive(Debug)]
pub enum Found {
    /// It can be, for instance so.
    Possible(Model),
    /// It cannot be, where these are assumed.
    Impossible(Vec<Assumption>),
}

#[derive(Debug)]
struct Pipe {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What is not yet written.
    pending: String,
}

impl Pipe {
    fn open() -> Self {
        let mut process = Command::new("z3")
            .args(["-smt2", "-in"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("z3 is installed: apt-get install z3");
        let input = process.stdin.take().expect("its input is piped");
        let output = BufReader::new(process.stdout.take().expect("its output is piped"));
        Self { process, input, output, pending: String::new() }
    }

    fn send(&mut self) {
        self.input.write_all(self.pending.as_bytes()).expect("z3 is listening");
        self.input.flush().expect("z3 is listening");
        self.pending.clear();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("z3 answers");
        assert!(!line.is_empty(), "z3 has gone");
        line.trim().to_owned()
    }

    /// What it answers, to the last bracket.
    fn answer(&mut self) -> String {
        self.send();
        let mut text = self.line();
        while text.matches('(').count() > text.matches(')').count() {
            text += " ";
            text += &self.line();
        }
        text
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // It holds nothing that is worth an orderly end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The terms that a comparison is made of, the parts before the whole.
fn made_of(arena: &Arena, question: Question) -> Vec<Place> {
    fn add(arena: &Arena, place: Place, all: &mut Vec<Place>) {
        if !all.contains(&place) {
            for part in parts(arena.at(place)) {
                add(arena, part, all);
            }
            all.push(place);
        }
    }
    let mut all = Vec::new();
    for place in arena.comparison(question).terms() {
        add(arena, place, &mut all);
    }
    all
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| letter.is_whitespace() || "()".contains(letter))
        .filter(|word| !word.is_empty())
}

/// Says what is possible, in integers.
#[derive(Debug)]
pub struct Asker {
    pipe: Pipe,
    declared: FxHashSet<Place>,
    assumed: Vec<Assumption>,
    /// What each name stands for: every assertion has one of its own, for the sake of cores.
    named: Vec<Assumption>,
    /// The terms of which something is asserted, and beneath how many assumptions.
    bound: Vec<(Place, usize)>,
}

impl Asker {
    pub fn start() -> Self {
        let mut pipe = Pipe::open();
        // Declarations stay when assumptions are popped.
        pipe.pending += "(set-option :global-declarations true)\n";
        pipe.pending += "(set-option :produce-unsat-cores true)\n";
        pipe.pending += &format!("(set-logic {})\n", Encoding::Integers.logic());
        let (declared, assumed, named) = (FxHashSet::default(), Vec::new(), Vec::new());
        Self { pipe, declared, assumed, named, bound: Vec::new() }
    }

    /// Whether `asked` can be, where `assumed` is.
    pub fn ask(&mut self, arena: &Arena, assumed: &[Assumption], asked: Assumption) -> Found {
        let common =
            self.assumed.iter().zip(assumed).take_while(|(has, wants)| has == wants).count();
        self.pop_to(common);
        for &assumption in &assumed[common..] {
            self.push(arena, assumption);
        }
        self.push(arena, asked);
        self.pipe.pending += "(check-sat)\n";
        let found = match self.pipe.answer().as_str() {
            "sat" => Found::Possible(self.model(arena)),
            "unsat" => {
                let mut core = self.core();
                core.retain(|assumption| *assumption != asked);
                Found::Impossible(core)
            }
            other => panic!("z3 answers {other}"),
        };
        self.pop_to(assumed.len());
        found
    }

    fn push(&mut self, arena: &Arena, assumption: Assumption) {
        let mut asserted = String::new();
        for place in made_of(arena, assumption.0) {
            let definition = Encoding::Integers.define(arena, place);
            if self.declared.insert(place) {
                self.pipe.pending += &definition.declared;
            }
            if self.bound.iter().all(|(bound, _)| *bound != place) {
                asserted += &definition.always;
                self.bound.push((place, self.assumed.len()));
            }
        }
        let comparison = Encoding::Integers.compare(arena, assumption);
        self.pipe.pending += "(push)\n";
        self.pipe.pending += &asserted;
        self.pipe.pending += &format!("(assert (! {comparison} :named a{}))\n", self.named.len());
        self.named.push(assumption);
        self.assumed.push(assumption);
    }

    fn pop_to(&mut self, height: usize) {
        let surplus = self.assumed.len() - height;
        if surplus > 0 {
            self.pipe.pending += &format!("(pop {surplus})\n");
            self.assumed.truncate(height);
            self.bound.retain(|(_, beneath)| *beneath < height);
        }
    }

    fn core(&mut self) -> Vec<Assumption> {
        self.pipe.pending += "(get-unsat-core)\n";
        let text = self.pipe.answer();
        words(&text).map(|word| self.named[word[1..].parse::<usize>().expect("a name")]).collect()
    }

    fn model(&mut self, arena: &Arena) -> Model {
        self.pipe.pending += "(get-value (";
        for place in
            self.bound.iter().map(|(place, _)| place).filter(|place| arena.is_free(**place))
        {
            self.pipe.pending += &format!("t{place} ");
        }
        self.pipe.pending += "))\n";
        let text = self.pipe.answer();
        let mut words = words(&text).peekable();
        let mut given = Vec::new();
        while let Some(name) = words.next() {
            let place = name[1..].parse().expect("a term's name");
            let minus = words.next_if_eq(&"-").is_some();
            let number = words.next().and_then(|word| word.parse::<i128>().ok());
            let number = number.expect("a number after its name");
            given.push((place, value(arena.sort(place), if minus { -number } else { number })));
        }
        Model::new(given)
    }
}

fn value(sort: Sort, number: i128) -> Value {
    match sort {
        Sort::Instant => Value::Instant(Timestamp::from_millis(
            i64::try_from(number).expect("an instant of 64 bits"),
        )),
        Sort::Span => {
            Value::Span(Span::from_millis(u64::try_from(number).expect("a span of 64 bits")))
        }
    }
}

/// Comes to the same answers in bit vectors, or says that it does not; on a thread of its own.
#[derive(Debug)]
pub struct Confirmer {
    /// Each question, with whether it is to be answered with yes.
    questions: Sender<(String, bool)>,
    thread: JoinHandle<Confirmed>,
    /// It is told one answer in so many.
    one_in: u64,
    answers: u64,
}

/// What a [`Confirmer`] came to.
#[derive(Copy, Clone, Debug, Default)]
pub struct Confirmed {
    /// How many answers were the same.
    pub agreed: u64,
    /// How many it could not find within its means.
    pub undecided: u64,
}

/// How many steps of its own it may take for one answer: a second or two, the same on any machine.
const MEANS: u32 = 3_000_000;

impl Confirmer {
    pub fn start(one_in: u64) -> Self {
        let (questions, asked) = channel::<(String, bool)>();
        let thread = spawn(move || {
            let (mut pipe, mut confirmed) = (Pipe::open(), Confirmed::default());
            for (text, possible) in asked {
                pipe.pending += &text;
                let expected = if possible { "sat" } else { "unsat" };
                match pipe.answer().as_str() {
                    "unknown" => confirmed.undecided += 1,
                    answer => {
                        assert_eq!(answer, expected, "integers and bit vectors disagree: {text}");
                        confirmed.agreed += 1;
                    }
                }
            }
            confirmed
        });
        Self { questions, thread, one_in, answers: 0 }
    }

    /// Tells it that all of these can be, for these numbers, or that they cannot.
    pub fn tell(&mut self, arena: &Arena, together: &[Assumption], possible: Option<&Model>) {
        self.answers += 1;
        if !self.answers.is_multiple_of(self.one_in) {
            return;
        }
        let encoding = Encoding::Vectors;
        let mut declared = FxHashSet::default();
        let mut text =
            format!("(reset)\n(set-option :rlimit {MEANS})\n(set-logic {})\n", encoding.logic());
        for &assumption in together {
            for place in made_of(arena, assumption.0) {
                if declared.insert(place) {
                    let definition = encoding.define(arena, place);
                    text += &definition.declared;
                    text += &definition.always;
                    let number = possible.map(|model| model.sums(arena).value(place));
                    if let Some(number) = number.filter(|_| arena.is_free(place)) {
                        text += &format!("(assert (= t{place} #x{:016x}))\n", number.bits());
                    }
                }
            }
            text += &format!("(assert {})\n", encoding.compare(arena, assumption));
        }
        text += "(check-sat)\n";
        // Where nobody listens any more it has disagreed, and `finish` says so.
        let _ = self.questions.send((text, possible.is_some()));
    }

    /// Waits for all that it has not answered yet.
    ///
    /// # Panics
    /// Where an answer differs.
    pub fn finish(self) -> Confirmed {
        drop(self.questions);
        self.thread.join().expect("the encodings agree")
    }
}
