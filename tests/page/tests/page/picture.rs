//! Pictures for the documentation: small, and embedded, since rustdoc copies no files.

use std::collections::HashMap;
use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

type Color = [u8; 3];

/// Returns a picture with its 256 most frequent colours; each other colour becomes the nearest of these.
///
/// # Panics
/// If it is not a PNG with eight bits a channel.
#[must_use]
pub fn indexed(picture: &[u8]) -> Vec<u8> {
    let mut reader = png::Decoder::new(Cursor::new(picture)).read_info().expect("a PNG");
    let mut buffer = vec![0; reader.output_buffer_size().expect("it fits into memory")];
    let frame = reader.next_frame(&mut buffer).expect("a picture");
    let channels = frame.color_type.samples();
    assert!(channels >= 3 && frame.bit_depth == png::BitDepth::Eight, "{frame:?}");
    let pixels: Vec<Color> =
        buffer[..frame.buffer_size()].chunks(channels).map(|it| [it[0], it[1], it[2]]).collect();
    let mut counts = HashMap::<Color, u32>::new();
    for pixel in &pixels {
        *counts.entry(*pixel).or_default() += 1;
    }
    let mut palette: Vec<_> = counts.iter().map(|(color, count)| (*count, *color)).collect();
    palette.sort_unstable_by(|a, b| b.cmp(a));
    let palette: Vec<Color> = palette.into_iter().take(256).map(|(_, color)| color).collect();
    let places: HashMap<Color, u8> =
        counts.keys().map(|color| (*color, nearest(&palette, *color))).collect();
    let indices: Vec<u8> = pixels.iter().map(|pixel| places[pixel]).collect();
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, frame.width, frame.height);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(palette.concat());
    encoder.set_compression(png::Compression::High);
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header().expect("into memory");
    writer.write_image_data(&indices).expect("into memory");
    writer.finish().expect("into memory");
    out
}

fn nearest(palette: &[Color], color: Color) -> u8 {
    let distance = |other: &Color| -> u32 {
        let each = color.iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2));
        each.sum()
    };
    let places = 0..=u8::MAX;
    let nearest = places.zip(palette).min_by_key(|(_, other)| distance(other));
    nearest.expect("a picture has a colour").0
}

/// Returns the page that shows a picture.
#[must_use]
pub fn page(picture: &[u8]) -> String {
    let text = "The page during an outage: which sessions cannot refresh, why, \
                when the next try is, and how long their tokens still work";
    format!("![{text}](data:image/png;base64,{})\n", STANDARD.encode(picture))
}
