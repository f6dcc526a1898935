//! From the words of the wire to those of the fleet.

/// What an agent says of its machine, cut to what a screen can show.
pub(super) fn facts(facts: protocol::Facts) -> fleet::Facts {
    let text = |text: &str, most: usize| schema::neutral_text(text).chars().take(most).collect::<String>();
    fleet::Facts {
        name: text(&facts.name, 100),
        addresses: facts.addresses.into_iter().take(256).collect(),
        macs: facts.macs.iter().take(256).map(|mac| text(mac, 32)).collect(),
        agent_version: text(&facts.agent_version, 50),
    }
}
