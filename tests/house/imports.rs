//! Imports point one way: to a lower layer, between the session's folders in one direction, never in a circle.
//!
//! Each path of the code is resolved to the file that defines what it names: `crate::`, `super::` and
//! `self::` paths, and names that a module only passes on (`pub use`). What stands in a file's own tests
//! or in a model is not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Each module's layer. Imports go only to a lower layer, or stay within the module.
const FLOORS: [(&str, u32); 23] = [
    ("ownership", 0),
    ("primitives", 0),
    ("time", 0),
    ("lease", 1),
    ("lifecycle", 1),
    ("rotation", 1),
    ("verdict", 1),
    ("events", 2),
    ("provider", 2),
    ("token", 2),
    ("offload", 2),
    ("refresh", 3),
    ("clock", 4),
    ("store", 5),
    ("issue", 6),
    ("session", 6),
    ("thread_timer", 5),
    ("wire", 5),
    ("keyed", 7),
    ("interceptor", 7),
    ("testing", 7),
    ("adapters", 8),
    ("guide", 9),
];

/// The session's folders, lowest first. Those of one rank know nothing of each other.
const ROOMS: [(&str, u32); 8] = [
    ("error", 0),
    ("panics", 0),
    ("alarm", 0),
    ("ports", 1),
    ("exchange", 2),
    ("singleflight", 2),
    ("shared", 3),
    ("handle", 4),
];

#[test]
fn imports_point_down_only() {
    let floors: BTreeMap<_, _> = FLOORS.into_iter().collect();
    let graph = Graph::of_sources();
    let mut wrong = Vec::new();
    for (from, to) in graph.edges() {
        let (Some(above), Some(below)) = (top(from), top(to)) else { continue };
        let (Some(floor), Some(target)) = (floors.get(above), floors.get(below)) else {
            wrong.push(format!("`{above}` or `{below}` has no layer in tests/house/imports.rs"));
            continue;
        };
        let within = above == below && (above != "adapters" || second(from) == second(to));
        let face = above == "adapters" && to == "crate::adapters";
        if target >= floor && !within && !face {
            wrong.push(format!("{from} (layer {floor}) names {to} (layer {target})"));
        }
    }
    assert!(wrong.is_empty(), "imports that do not point down:\n{}", wrong.join("\n"));
}

#[test]
fn imports_between_the_rooms_of_the_session_point_one_way() {
    let rooms: BTreeMap<_, _> = ROOMS.into_iter().collect();
    let graph = Graph::of_sources();
    let mut wrong = Vec::new();
    for (from, to) in graph.edges() {
        if top(from) != Some("session") || top(to) != Some("session") {
            continue;
        }
        let (Some(above), Some(below)) = (second(from), second(to)) else {
            // The face passes on what the folders have, and takes nothing else from them.
            wrong.push(format!("{from} names {to}"));
            continue;
        };
        let (Some(rank), Some(target)) = (rooms.get(above), rooms.get(below)) else {
            wrong.push(format!("`{above}` or `{below}` is no folder in tests/house/imports.rs"));
            continue;
        };
        if target >= rank && above != below {
            wrong.push(format!("{from} names {to}"));
        }
    }
    assert!(wrong.is_empty(), "imports that point up or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn no_imports_make_a_circle() {
    let graph = Graph::of_sources();
    assert!(graph.edges().count() > 300, "are the sources still read?");
    let circles = graph.circles();
    assert!(circles.is_empty(), "files that import each other:\n{}", circles.join("\n"));
}

/// Which file names what of which other file.
struct Graph {
    /// By the module that each file is.
    files: BTreeMap<String, File>,
    edges: BTreeMap<String, BTreeSet<String>>,
}

/// The paths of one file.
#[derive(Default)]
struct File {
    named: Vec<Vec<String>>,
    /// What it passes on, by name.
    passed_on: BTreeMap<String, Vec<String>>,
}

impl Graph {
    fn of_sources() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut files = BTreeMap::new();
        read_folder(&folder, &folder, &mut files);
        let mut graph = Self { files, edges: BTreeMap::new() };
        for (module, file) in &graph.files {
            let found = file.named.iter().filter_map(|path| graph.resolve(module, path, 0));
            let others = found.filter(|found| found != module && found != "crate").collect();
            graph.edges.insert(module.clone(), others);
        }
        graph
    }

    fn edges(&self) -> impl Iterator<Item = (&str, &str)> {
        let edges = self.edges.iter();
        edges.flat_map(|(from, to)| to.iter().map(|to| (from.as_str(), to.as_str())))
    }

    /// The module that defines what `path` names, as seen from `module`.
    fn resolve(&self, module: &str, path: &[String], depth: u32) -> Option<String> {
        let first = path.first()?.as_str();
        let (mut here, mut rest) = match first {
            "crate" => ("crate".to_owned(), &path[1..]),
            "self" => (module.to_owned(), &path[1..]),
            "super" => (module.to_owned(), path),
            _ if self.files.contains_key(&format!("{module}::{first}")) => {
                (module.to_owned(), path)
            }
            _ => return None,
        };
        while let Some((name, further)) = rest.split_first() {
            let inside = format!("{here}::{name}");
            if name == "super" {
                here.truncate(here.rfind("::")?);
            } else if self.files.contains_key(&inside) {
                here = inside;
            } else {
                let passed_on = self.files.get(&here).and_then(|file| file.passed_on.get(name));
                if let Some(path) = passed_on.filter(|_| depth < 8) {
                    let path: Vec<_> = path.iter().chain(further).cloned().collect();
                    return self.resolve(&here, &path, depth + 1).or(Some(here));
                }
                break;
            }
            rest = further;
        }
        Some(here)
    }

    /// The sets of files that reach each other.
    fn circles(&self) -> Vec<String> {
        let reach: BTreeMap<&str, BTreeSet<&str>> =
            self.edges.keys().map(|from| (from.as_str(), self.reached_from(from))).collect();
        let mut circles = BTreeSet::new();
        for (from, reached) in &reach {
            let back =
                reached.iter().filter(|to| reach.get(*to).is_some_and(|it| it.contains(from)));
            let circle: BTreeSet<_> = back.copied().collect();
            if !circle.is_empty() {
                circles.insert(circle.into_iter().collect::<Vec<_>>().join(", "));
            }
        }
        circles.into_iter().collect()
    }

    fn reached_from(&self, from: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&str> = self.edges[from].iter().map(String::as_str).collect();
        while let Some(module) = next.pop() {
            if reached.insert(module) {
                next.extend(self.edges[module].iter().map(String::as_str));
            }
        }
        reached
    }
}

fn read_folder(root: &Path, folder: &Path, files: &mut BTreeMap<String, File>) {
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("the sources are there").path();
        if path.is_dir() {
            read_folder(root, &path, files);
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("models.rs") {
            let inside = path.strip_prefix(root).expect("it is inside").with_extension("");
            let names = inside.iter().map(|name| name.to_string_lossy().into_owned());
            let names: Vec<_> = names.filter(|name| name != "mod" && name != "lib").collect();
            let module = [vec!["crate".to_owned()], names].concat().join("::");
            let text = fs::read_to_string(&path).expect("the sources are text");
            files.insert(module, File::of(&text));
        }
    }
}

impl File {
    fn of(text: &str) -> Self {
        let mut file = Self::default();
        let mut code = code_of(text);
        while let Some((start, end, public)) = next_use(&code) {
            let body = code[start..end].split_once("use ").map_or("", |(_, body)| body);
            for path in leaves(body) {
                let alias = path.last().cloned().unwrap_or_default();
                let (name, alias) = match alias.split_once(" as ") {
                    Some((name, alias)) => (name.trim().to_owned(), alias.trim().to_owned()),
                    None => (alias.clone(), alias),
                };
                let path = [&path[..path.len() - 1], &[name]].concat();
                if public {
                    file.passed_on.insert(alias, path);
                } else {
                    file.named.push(path);
                }
            }
            code.replace_range(start..=end.min(code.len() - 1), "\n");
        }
        for start in ["crate::", "super::", "self::"] {
            for (at, _) in code.match_indices(start) {
                let before = code[..at].chars().next_back();
                if before.is_none_or(|it| !it.is_alphanumeric() && it != '_' && it != ':') {
                    let end =
                        code[at..].find(|it: char| !it.is_alphanumeric() && it != '_' && it != ':');
                    let path = &code[at..at + end.unwrap_or(code.len() - at)];
                    file.named
                        .push(path.trim_end_matches(':').split("::").map(str::to_owned).collect());
                }
            }
        }
        file
    }
}

/// The code of a file: no comments, no docs, no tests, and no paths of inline modules, which start elsewhere.
fn code_of(text: &str) -> String {
    let lines = text.lines().take_while(|line| !line.starts_with("mod tests {"));
    let mut code = String::new();
    let mut inline = false;
    for line in lines {
        inline = (inline || (line.starts_with("mod ") && line.ends_with('{'))) && line != "}";
        let line = line.split("//").next().unwrap_or_default();
        let line =
            Some(line).filter(|it| !it.trim_start().starts_with("#![doc")).unwrap_or_default();
        if !inline && !line.trim_start().starts_with("pub(in ") {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

/// Where the next `use` begins and ends, and whether it passes on what it names.
fn next_use(code: &str) -> Option<(usize, usize, bool)> {
    let (at, _) = code.match_indices("use ").find(|(at, _)| {
        let line = code[..*at].rsplit('\n').next().unwrap_or_default().trim_start();
        line.is_empty() || (line.starts_with("pub") && line.ends_with(' '))
    })?;
    let start = code[..at].rfind('\n').map_or(0, |end| end + 1);
    let end = at + code[at..].find(';')?;
    Some((start, end, code[start..at].trim_start().starts_with("pub")))
}

/// The single paths of a `use`.
fn leaves(body: &str) -> Vec<Vec<String>> {
    let body = body.trim();
    let Some((prefix, inner)) = body.split_once('{') else {
        return vec![body.split("::").map(|name| name.trim().to_owned()).collect()];
    };
    let prefix: Vec<_> = prefix.split("::").map(|name| name.trim().to_owned()).collect();
    let prefix: Vec<_> = prefix.into_iter().filter(|name| !name.is_empty()).collect();
    let inner = inner.rsplit_once('}').map_or(inner, |(inner, _)| inner);
    let (mut depth, mut parts) = (0_u32, vec![String::new()]);
    for letter in inner.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if letter == ',' && depth == 0 {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(letter);
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| leaves(part)).map(|path| [prefix.clone(), path].concat()).collect()
}

/// The first module below the crate.
fn top(module: &str) -> Option<&str> {
    module.split("::").nth(1)
}

fn second(module: &str) -> Option<&str> {
    module.split("::").nth(2)
}
