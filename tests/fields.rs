//! Every field of `tier` and `lottery` is carried out: it is in the bytes that the
//! object reads, and whoever compares policies sees that it was changed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "cli/edict.rs"]
#[expect(dead_code, reason = "also for the tests of the other verbs")]
mod edict_verbs;

use std::collections::BTreeSet;

use edict::check::schema::{self, Class, Engine};
use edict::check::{Policy, check_text};
use edict::image::layout::tier::flag;
use edict::image::layout::{bank, between, head, order, tier, within};
use edict::image::{self, Image};
use edict::plan;
use edict_verbs::Desk;

/// For each field, what it is given in place of its default.
const GIVEN: &[(&str, &str, &str)] = &[
    ("tier", "tickets", "200"),
    ("tier", "slice", "8ms"),
    ("tier", "order", "fifo"),
    ("tier", "order", "lottery"),
    ("tier", "preempt", "[other]"),
    ("tier", "max_wait", "70ms"),
    ("tier", "cpus", "\"1,3\""),
    ("tier", "cpus", "\"llc 0\""),
    ("tier", "cpus", "\"node 0\""),
    ("tier", "exclusive", "true"),
    ("tier", "perf", "0%"),
    ("tier", "budget", "100%"),
    ("tier", "burst", "60ms"),
    ("lottery", "between", "stride"),
    ("lottery", "between", "strict"),
    ("lottery", "refill", "2s"),
    ("lottery", "compensate", "false"),
    ("lottery", "seed", "1"),
];

fn text(tier: &str, lottery: &str) -> String {
    format!(
        "language 1\npolicy p {{ }}\ntier other {{ }}\ntier it {{ {tier} }}\n\
         rules {{ when nice > 5 -> other   otherwise -> it }}\nlottery {{ {lottery} }}\n"
    )
}

/// The policy without the field, and with it.
fn with_and_without(block: &str, field: &str, value: &str) -> (String, String) {
    let given = format!("{field} = {value}");
    match (block, field) {
        // It needs another one.
        ("tier", "burst") => (
            text("budget = 30%", ""),
            text(&format!("budget = 30%   {given}"), ""),
        ),
        ("tier", _) => (text("", ""), text(&given, "")),
        _ => (text("", ""), text("", &given)),
    }
}

fn policy(text: &str) -> Policy {
    let checked = check_text("policy.edict", text);
    let policy = checked.policy;
    policy.unwrap_or_else(|| panic!("{text}: {:#?}", checked.diagnostics))
}

fn image_of(text: &str) -> Image {
    image::emit(&plan::lower(&policy(text)).unwrap()).unwrap()
}

#[test]
fn every_field_is_tried_here() {
    for word in ["tier", "lottery"] {
        let kind = schema::block(word).unwrap();
        assert_eq!(kind.engine, Engine::There);
        for field in kind.fields {
            let tried = GIVEN.iter().any(|(b, f, _)| (*b, *f) == (word, field.name));
            assert!(tried, "{word}.{}", field.name);
            assert_eq!(field.engine, Engine::There, "{word}.{}", field.name);
            assert_eq!(field.class, Class::Live, "{word}.{}", field.name);
        }
    }
}

#[test]
fn every_field_changes_the_bytes_and_the_plan() {
    let mut digests = BTreeSet::new();
    for (block, field, value) in GIVEN {
        let (without, with) = with_and_without(block, field, value);
        let (was, is) = (image_of(&without), image_of(&with));
        assert_ne!(was.digest(), is.digest(), "{block}.{field} = {value}");
        digests.insert(is.digest().to_string());
        let plan = |text: &str| plan::lower(&policy(text)).unwrap().to_string();
        assert_ne!(plan(&without), plan(&with), "{block}.{field} = {value}");
        assert!(policy(&with).unready().is_empty());
    }
    assert_eq!(digests.len(), GIVEN.len());
}

#[test]
fn every_field_is_seen_by_diff() {
    let desk = Desk::new();
    for (block, field, value) in GIVEN {
        let (without, with) = with_and_without(block, field, value);
        desk.write("old.edict", &without);
        desk.write("new.edict", &with);
        let document = desk.json(&["diff", "old.edict", "new.edict"], 0);
        let changed = document["blocks"]["changed"].as_array().unwrap();
        assert_eq!(changed.len(), 1, "{block}.{field}: {document}");
        assert_eq!(changed[0]["field"], *field);
        assert_ne!(changed[0]["old"], changed[0]["new"]);
    }
}

#[test]
fn every_field_is_in_the_document_of_a_plan() {
    let desk = Desk::new();
    let all = text(
        "cpus = \"0-3\"   exclusive = true   perf = 80%   budget = 30%   order = lottery",
        "between = stride   refill = 2s   compensate = false   seed = 7",
    );
    desk.write("all.edict", &all);
    let document = desk.json(&["plan", "all.edict"], 0);
    let tier = &document["tiers"][1];
    assert_eq!(tier["cpus"], "0-3");
    assert_eq!(tier["exclusive"], true);
    assert_eq!(tier["perf_ppm"], 800_000);
    assert_eq!(tier["budget_ppm"], 300_000);
    assert_eq!(tier["burst_ns"], 50_000_000);
    assert_eq!(tier["order"], "lottery");
    assert!(document["tiers"][0]["cpus"].is_null());
    assert_eq!(document["between"], "stride");
    assert_eq!(document["refill_ns"], 2_000_000_000_u64);
    assert_eq!(document["compensate"], false);
    assert_eq!(document["seed"], 7);
}

#[cfg(feature = "live")]
#[test]
fn every_field_is_named_in_the_log_of_a_reload() {
    use edict::reload::changes;
    for (block, field, value) in GIVEN {
        let (without, with) = with_and_without(block, field, value);
        let said = changes::between(&policy(&without), &policy(&with));
        let (start, end) = match *block {
            "tier" => (format!("tier it ({field}"), ") changed"),
            _ => (format!("lottery ({field} "), ") changed"),
        };
        assert!(said.starts_with(&start) && said.ends_with(end), "{said}");
        // Nothing but this field.
        assert!(!said.contains(", "), "{said}");
    }
}

/// Reads numbers of a bank.
struct Reader(Image);

impl Reader {
    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0.bank()[at..at + 4].try_into().unwrap())
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.0.bank()[at..at + 8].try_into().unwrap())
    }

    fn tier(&self, index: usize) -> usize {
        assert!(index < self.u32(head::NR_TIERS) as usize);
        head::TIER + index * tier::SIZE
    }

    fn cpus(&self, index: usize) -> Vec<u64> {
        let at = self.tier(index) + tier::CPUS;
        (0..16).map(|word| self.u64(at + word * 8)).collect()
    }
}

#[test]
fn fields_are_where_the_object_reads_them() {
    let text = r#"language 1
policy p { }
tier a { cpus = "0-3,8,64-65,1023"   perf = 80%   order = lottery }
tier b { exclusive = true   cpus = "llc 3"   budget = 30%   burst = 20ms }
tier c { cpus = "node 1"   perf = 0%   budget = 12% + 12% / 2 }
tier d { }
rules { when nice > 5 -> a   when nice < 0 -> b   when uid == 0 -> c   otherwise -> d }
lottery { between = stride   refill = 250ms   compensate = false   seed = 9_223_372_036_854_775_807 }
"#;
    let bank = Reader(image_of(text));
    assert_eq!(bank.u32(head::BETWEEN), between::STRIDE);
    assert_eq!(bank.u32(head::COMPENSATE), 0);
    assert_eq!(bank.u64(head::SEED), i64::MAX as u64);
    assert_eq!(bank.u64(head::REFILL_NS), 250_000_000);
    assert_eq!(bank.u32(head::CONFINED), 0b0111);
    assert_eq!(bank.u32(head::EXCLUSIVE), 0b0010);
    assert_eq!(bank.u32(head::BUDGETED), 0b0110);
    assert_eq!(bank.u32(head::PACED), 0b0101);

    let field = |index, field| bank.u32(bank.tier(index) + field);
    let all = |at: usize| [0, 1, 2, 3].map(|index| field(index, at));
    assert_eq!(
        all(tier::FLAGS),
        [
            flag::PERF,
            flag::EXCLUSIVE | flag::BUDGET,
            flag::PERF | flag::BUDGET,
            0
        ]
    );
    assert_eq!(
        all(tier::ORDER),
        [order::LOTTERY, order::VTIME, order::VTIME, order::VTIME]
    );
    assert_eq!(all(tier::PERF), [819, 0, 0, 0]);
    assert_eq!(all(tier::BUDGET_PPM), [0, 300_000, 180_000, 0]);
    let burst = [0, 1, 2, 3].map(|index| bank.u64(bank.tier(index) + tier::BURST_NS));
    // 50 ms where there is a budget and no burst.
    assert_eq!(burst, [0, 20_000_000, 50_000_000, 0]);
    assert_eq!(
        all(tier::WITHIN),
        [within::CPUS, within::LLC, within::NODE, within::MACHINE]
    );
    assert_eq!(all(tier::PLACE), [0, 3, 1, 0]);
    let mut mask = vec![0_u64; 16];
    mask[0] = 0b1_0000_1111;
    mask[1] = 0b11;
    mask[15] = 1 << 63;
    assert_eq!(bank.cpus(0), mask);
    for index in 1..4 {
        assert_eq!(bank.cpus(index), [0; 16]);
    }
}

#[test]
fn what_is_left_out_is_the_default_and_nothing_else() {
    let bank = Reader(image_of(&text("", "")));
    assert_eq!(bank.u32(head::BETWEEN), between::LOTTERY);
    assert_eq!(bank.u32(head::COMPENSATE), 1);
    assert_eq!(bank.u64(head::SEED), 0);
    assert_eq!(bank.u64(head::REFILL_NS), 1_000_000_000);
    for at in [head::CONFINED, head::EXCLUSIVE, head::BUDGETED, head::PACED] {
        assert_eq!(bank.u32(at), 0, "{at}");
    }
    let begin = bank.tier(1);
    let used = tier::ORDER + 4;
    let rest = &bank.0.bank()[begin + used..begin + tier::SIZE];
    assert!(rest.iter().all(|byte| *byte == 0));
    assert_eq!(bank.0.bank().len(), bank::SIZE);

    // Written out or left out: the same bytes.
    let written = text(
        "tickets = 100   slice = 5ms   order = vtime   preempt = []   exclusive = false",
        "between = tiers   refill = 1000ms   compensate = true   seed = 0",
    );
    assert_eq!(image_of(&written).digest(), bank.0.digest());
}
