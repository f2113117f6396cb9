//! The text as YAML sees it: scalars, sequences and mappings, each with its place.
//!
//! YAML can do much that a policy has no use for: tags, anchors, aliases, merge
//! keys, several documents. They are refused here, so that nothing behind this
//! file needs to know of them, and nothing can be larger than its text.
//!
//! This is the only place that names the YAML parser. It is the one beneath
//! `serde-saphyr`, and not that crate itself: serde hides how a scalar is quoted,
//! which decides whether it is a text, resolves aliases and merge keys on its
//! own, and stops at the first mistake of shape.

use granit_parser::{Event, Parser, ScalarStyle, options};

use super::{super::MOST_NESTED, fault};
use crate::diag::{Code, Diagnostic, FileId, Span, shown};

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
    Folded,
}

impl Style {
    pub(super) fn is_quoted(self) -> bool {
        matches!(self, Self::Single | Self::Double)
    }
}

/// A piece of YAML.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) content: Content,
}

#[derive(Debug, Clone)]
pub(super) enum Content {
    /// A key without a value.
    Empty,
    /// Something that was complained of already.
    Refused,
    Scalar(String, Style),
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

impl Content {
    /// What it is, for messages.
    pub(super) fn phrase(&self) -> &'static str {
        match self {
            Self::Empty | Self::Refused => "nothing",
            Self::Scalar(..) => "a single value",
            Self::Sequence(_) => "a list",
            Self::Mapping(_) => "a mapping",
        }
    }
}

/// What was read.
pub(super) struct Read {
    /// The document; none when the text is not YAML, or holds none.
    pub(super) root: Option<Node>,
    /// Where the comments are.
    pub(super) comments: Vec<Span>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Whether something was refused without which the rest has no meaning.
    pub(super) broken: bool,
}

/// A collection that is not closed yet.
struct Open {
    start: Span,
    is_mapping: bool,
    is_flow: bool,
    items: Vec<Node>,
}

struct Reader<'a> {
    file: FileId,
    text: &'a str,
    open: Vec<Open>,
    out: Read,
}

/// Complaints about YAML that policies do not use.
const MOST_REFUSED: usize = 16;

pub(super) fn read(file: FileId, text: &str) -> Read {
    let mut reader = Reader {
        file,
        text,
        open: Vec::new(),
        out: Read {
            root: None,
            comments: Vec::new(),
            diagnostics: Vec::new(),
            broken: false,
        },
    };
    let options = options! {
        disallow_directives: true,
        emit_unresolved_aliases: true,
        emit_anchor_events: true,
        flow_nesting_limit: MOST_NESTED,
        block_nesting_limit: MOST_NESTED,
        max_buffered_comment_events: text.len(),
    };
    let mut documents = 0;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(0);
                let open = reader.open.last().filter(|open| open.is_flow);
                let diagnostic = match open {
                    Some(open) if fault::may_be_unclosed(text, open.start, at, error.kind()) => {
                        fault::unclosed_bracket(text, open.start)
                    }
                    _ => fault::describe(file, text, at, error.kind()),
                };
                reader.out.diagnostics.push(diagnostic);
                reader.out.broken = true;
                reader.out.root = None;
                break;
            }
        };
        if matches!(event, Event::DocumentStart(..)) {
            documents += 1;
        }
        let tag = span.tag_span().and_then(|tag| tag.byte_range());
        let Some(range) = span.byte_range() else {
            continue;
        };
        let place = Span::new(file, range.start, range.end);
        if documents > 1 {
            reader.refuse(
                Diagnostic::new(Code::E0125, "a second YAML document in one file")
                    .label(place, "begins here")
                    .help("put each policy into a file of its own"),
            );
            break;
        }
        if let Some(tag) = tag.clone() {
            reader.tag(Span::new(file, tag.start, tag.end));
        }
        reader.event(event, place, tag.is_some());
        if reader.out.diagnostics.len() >= MOST_REFUSED {
            break;
        }
    }
    reader.out
}

impl Reader<'_> {
    fn refuse(&mut self, diagnostic: Diagnostic) {
        self.out.broken = true;
        self.out.diagnostics.push(diagnostic);
    }

    fn tag(&mut self, span: Span) {
        let tag = span.of(self.text);
        let word = tag.trim_start_matches('!');
        let help = if tag.starts_with("!!") {
            "delete it; the checker knows which type a value has".to_owned()
        } else if word.is_empty() {
            "to negate a condition, write `not` in front of it".to_owned()
        } else {
            format!("to negate a condition, write `not {}`", shown(word))
        };
        self.refuse(
            Diagnostic::new(Code::E0122, format!("`{}` is a YAML tag", shown(tag)))
                .label(span, "a policy has no tags")
                .help(help),
        );
    }

    fn event(&mut self, event: Event<'_>, span: Span, is_tagged: bool) {
        match event {
            Event::Scalar(text, style, ..) => {
                // A value that is left out takes no room.
                let is_left_out = span.start == span.end && style == ScalarStyle::Plain;
                let content = if is_tagged {
                    Content::Refused
                } else if is_left_out {
                    Content::Empty
                } else {
                    let style = match style {
                        ScalarStyle::Plain => Style::Plain,
                        ScalarStyle::SingleQuoted => Style::Single,
                        ScalarStyle::DoubleQuoted => Style::Double,
                        ScalarStyle::Literal => Style::Literal,
                        ScalarStyle::Folded => Style::Folded,
                    };
                    Content::Scalar(text.into_owned(), style)
                };
                let kept = match style {
                    ScalarStyle::Literal | ScalarStyle::Folded => self.trimmed(span),
                    _ => span,
                };
                self.place(Node {
                    span: kept,
                    content,
                });
            }
            Event::SequenceStart(style, ..) => self.start(span, false, style),
            Event::MappingStart(style, ..) => self.start(span, true, style),
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Comment(..) => self.out.comments.push(span),
            Event::Anchor(..) => self.refuse(
                Diagnostic::new(Code::E0123, "an anchor")
                    .label(span, "a policy has no anchors")
                    .help("give the value a name under `const` or `set`, and use that"),
            ),
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.refuse(
                    Diagnostic::new(Code::E0123, "an alias")
                        .label(span, "a policy has no aliases")
                        .help("a `*` in a condition stands inside of a text; put the whole condition into single quotes"),
                );
                self.place(Node {
                    span,
                    content: Content::Refused,
                });
            }
            _ => {}
        }
    }

    /// Without the line breaks that end a block scalar.
    fn trimmed(&self, mut span: Span) -> Span {
        let kept = span.of(self.text).trim_end().len();
        span.end = span.start.saturating_add(u32::try_from(kept).unwrap_or(0));
        span
    }

    fn start(&mut self, start: Span, is_mapping: bool, style: granit_parser::StructureStyle) {
        self.open.push(Open {
            start,
            is_mapping,
            is_flow: style == granit_parser::StructureStyle::Flow,
            items: Vec::new(),
        });
    }

    fn end(&mut self, end: Span) {
        let Some(open) = self.open.pop() else {
            return;
        };
        // A block has no end of its own: it ends with what it holds.
        let end = match open.items.last() {
            Some(last) if !open.is_flow => last.span,
            _ => end,
        };
        let span = Span::new(self.file, open.start.start as usize, end.end as usize);
        let content = if open.is_mapping {
            let mut pairs = Vec::new();
            let mut items = open.items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                pairs.push((key, value));
            }
            Content::Mapping(pairs)
        } else {
            Content::Sequence(open.items)
        };
        self.place(Node { span, content });
    }

    fn place(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(open) => open.items.push(node),
            None => self.out.root = Some(node),
        }
    }
}
