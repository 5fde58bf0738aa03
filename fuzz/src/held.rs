//! What bytes hold as one member's value: the judge of whether a token was made up.

use std::collections::BTreeSet;

/// Each text that `body` holds as one member's value, without white space around it: a JSON string
/// behind a colon, or in a list, a number behind a colon, or what stands in a form, in any charset that
/// the body may be in; and the same in a text that was made JSON twice.
pub fn held(body: &[u8]) -> BTreeSet<String> {
    let wide = |of: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = body.chunks_exact(2).map(|pair| of([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    let latin = body.iter().copied().map(char::from).collect();
    let mut held = BTreeSet::new();
    for text in [
        String::from_utf8_lossy(body).into_owned(),
        latin,
        wide(u16::from_le_bytes),
        wide(u16::from_be_bytes),
    ] {
        values_in(&text, &mut held);
        // An answer that was made JSON twice.
        let text = text.trim_start_matches('\u{FEFF}').trim();
        if let Ok(inner) = serde_json::from_str::<String>(text) {
            values_in(&inner, &mut held);
        }
    }
    held
}

fn values_in(text: &str, held: &mut BTreeSet<String>) {
    let mut made_twice = Vec::new();
    // Line breaks within a string are no JSON, and are tolerated.
    let escaped = text.replace('\r', "\\r").replace('\n', "\\n").replace('\t', "\\t");
    for (at, _) in escaped.match_indices('"') {
        let before = without_white_space_behind(&escaped[..at]);
        if !before.ends_with([':', '[']) {
            continue;
        }
        let read = serde_json::Deserializer::from_str(&escaped[at..]).into_iter::<String>().next();
        if let Some(Ok(value)) = read {
            if value.trim_start().starts_with('{') {
                made_twice.push(value.clone());
            }
            hold(&value, held);
        }
    }
    for behind in escaped.split(':').skip(1) {
        let number = behind.trim_start().split(|c: char| !c.is_ascii_digit()).next();
        held.extend(number.filter(|it| !it.is_empty()).map(str::to_owned));
    }
    let form = text.trim_start_matches('\u{FEFF}').trim().trim_start_matches(['?', '#']);
    for form in [form.to_owned(), form.replace("&amp;", "&"), form.replace(';', "&")] {
        for (_, value) in url::form_urlencoded::parse(form.as_bytes()) {
            hold(&value, held);
        }
    }
    for inner in made_twice {
        values_in(&inner, held);
    }
}

/// White space in whichever order, of which some was escaped.
fn without_white_space_behind(mut text: &str) -> &str {
    loop {
        let trimmed = ["\\n", "\\r", "\\t"].iter().fold(text, |text, it| text.trim_end_matches(it));
        let trimmed = trimmed.trim_end();
        if trimmed.len() == text.len() {
            return text;
        }
        text = trimmed;
    }
}

/// A value, and what of it stands behind the name of the scheme.
fn hold(value: &str, held: &mut BTreeSet<String>) {
    let value = value.trim();
    if let Some((scheme, rest)) = value.split_once(' ')
        && scheme.eq_ignore_ascii_case("bearer")
    {
        held.insert(rest.to_owned());
    }
    held.insert(value.to_owned());
}
