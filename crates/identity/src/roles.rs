//! Roles, permissions and the one question "may this actor do that there?".

use schema::{Command, Manifest, Problem, View};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use uuid::Uuid;

/// What an operator or an API token is trusted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything, including other operators.
    Manager,
    /// Looks and runs commands that can be taken back.
    Operator,
    /// Looks, and reads the audit log.
    Auditor,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Manager, Role::Operator, Role::Auditor];

    pub fn as_str(self) -> &'static str {
        match self {
            Role::Manager => "manager",
            Role::Operator => "operator",
            Role::Auditor => "auditor",
        }
    }

    pub fn parse(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A permission of the core.
#[derive(Clone, Copy, Debug)]
pub struct CorePermission {
    pub id: &'static str,
    pub title: &'static str,
    /// Roles that hold it.
    pub roles: &'static [Role],
}

/// The one table of core permissions. Plugins add their own as `<plugin>.<permission>`.
pub const CORE_PERMISSIONS: [CorePermission; 5] = [
    CorePermission { id: "read", title: "See everything that is shown", roles: &Role::ALL },
    CorePermission { id: "run", title: "Run commands that change something", roles: &[Role::Manager, Role::Operator] },
    CorePermission { id: "destroy", title: "Run commands that cannot be taken back", roles: &[Role::Manager] },
    CorePermission { id: "manage", title: "Manage operators, tokens, plugins and settings", roles: &[Role::Manager] },
    CorePermission { id: "audit", title: "Read the audit log", roles: &[Role::Manager, Role::Auditor] },
];

/// Every permission there is, and who holds it.
#[derive(Clone, Debug, Default)]
pub struct Permissions(BTreeMap<String, BTreeSet<Role>>);

impl Permissions {
    /// Those of the core and of the plugins with these manifests.
    pub fn new<'a>(manifests: impl IntoIterator<Item = &'a Manifest>) -> Permissions {
        let core = CORE_PERMISSIONS.iter().map(|p| (p.id.to_owned(), p.roles.iter().copied().collect()));
        let mut all: BTreeMap<String, BTreeSet<Role>> = core.collect();
        for manifest in manifests {
            for permission in &manifest.permissions {
                // A manager holds every permission, so that no plugin can lock everybody out.
                let declared = permission.roles.iter().filter_map(|name| Role::parse(name));
                let roles = declared.chain([Role::Manager]).collect();
                all.insert(format!("{}.{}", manifest.plugin.name, permission.id), roles);
            }
        }
        Permissions(all)
    }

    /// An unknown permission is held by nobody.
    pub fn holds(&self, role: Role, permission: &str) -> bool {
        self.0.get(permission).is_some_and(|roles| roles.contains(&role))
    }

    /// What `actor` may do, for a console that greys out the rest.
    pub fn of(&self, actor: &Actor) -> Vec<&str> {
        self.0.keys().map(String::as_str).filter(|p| actor.roles().all(|role| self.holds(role, p))).collect()
    }
}

/// Full id of the permission that `command` of `manifest` needs.
pub fn command_permission(manifest: &Manifest, command: &Command) -> String {
    full_id(manifest, command.needed_permission())
}

/// Full id of the permission that `view` of `manifest` needs.
pub fn view_permission(manifest: &Manifest, view: &View) -> String {
    full_id(manifest, view.needed_permission())
}

/// A permission that the plugin declares is its own, even under the name of one of the core's.
fn full_id(manifest: &Manifest, permission: &str) -> String {
    let own = manifest.permissions.iter().any(|p| p.id == permission);
    if own { format!("{}.{permission}", manifest.plugin.name) } else { permission.to_owned() }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub kind: ActorKind,
    /// Of the operator or token.
    pub id: Uuid,
    pub name: String,
    pub role: Role,
    /// A token never does what its maker may not do now.
    pub maker_role: Option<Role>,
    pub reach: Reach,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    Operator,
    Token,
    Agent,
    Plugin,
    /// The administrator itself, and its command line on the same machine.
    System,
}

impl ActorKind {
    pub fn as_str(self) -> &'static str {
        match self {
            ActorKind::Operator => "operator",
            ActorKind::Token => "token",
            ActorKind::Agent => "agent",
            ActorKind::Plugin => "plugin",
            ActorKind::System => "system",
        }
    }

    pub fn parse(name: &str) -> Option<ActorKind> {
        use ActorKind::*;
        [Operator, Token, Agent, Plugin, System].into_iter().find(|kind| kind.as_str() == name)
    }
}

impl Actor {
    /// Roles that must all hold a permission for the actor to have it.
    fn roles(&self) -> impl Iterator<Item = Role> {
        [Some(self.role), self.maker_role].into_iter().flatten()
    }
}

/// Which machines an actor sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    #[default]
    Everything,
    /// Machines of these groups, which an operator assigned.
    Groups(BTreeSet<Uuid>),
}

/// What a request is about.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// A list: the query itself is narrowed to the actor's reach.
    List,
    /// The site as a whole.
    Site,
    /// A machine, by the assigned groups it is in.
    Machine(&'a [Uuid]),
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("the role {role} may not do this: it needs the permission {permission}")]
    Permission { role: Role, permission: String },
    /// Told as if it did not exist.
    #[error("there is no such thing here")]
    OutOfReach,
}

impl From<Denied> for Problem {
    fn from(denied: Denied) -> Problem {
        let code = match denied {
            Denied::Permission { .. } => schema::Code::PermissionDenied,
            Denied::OutOfReach => schema::Code::NotFound,
        };
        let way_out = match denied {
            Denied::Permission { .. } => "A manager can give you another role.",
            Denied::OutOfReach => "If it should be, ask a manager to put it into one of your groups.",
        };
        Problem::new(code, format!("{denied}.")).fix(way_out)
    }
}

/// Whether `actor` has `permission` (a full id) for what `scope` says.
///
/// # Errors
/// The reason why not; what is out of reach is not distinguished from what is not there.
pub fn authorize(permissions: &Permissions, actor: &Actor, permission: &str, scope: Scope<'_>) -> Result<(), Denied> {
    if let Some(role) = actor.roles().find(|role| !permissions.holds(*role, permission)) {
        return Err(Denied::Permission { role, permission: permission.to_owned() });
    }
    match (&actor.reach, scope) {
        (Reach::Everything, _) | (Reach::Groups(_), Scope::List) => Ok(()),
        (Reach::Groups(mine), Scope::Machine(groups)) if groups.iter().any(|g| mine.contains(g)) => Ok(()),
        (Reach::Groups(_), Scope::Site | Scope::Machine(_)) => Err(Denied::OutOfReach),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn actor(role: Role) -> Actor {
        let id = Uuid::now_v7();
        Actor { kind: ActorKind::Operator, id, name: "x".into(), role, maker_role: None, reach: Reach::Everything }
    }

    fn manifest() -> Manifest {
        serde_json::from_value(json!({"console": "1.0",
            "plugin": {"id": "x.y", "name": "acme", "version": "1", "title": "Acme"},
            "permissions": [{"id": "restore", "title": "Restore", "roles": ["operator"]}, {"id": "audit", "title": "x"}],
            "commands": [{"id": "a", "title": "A", "permission": "restore"}, {"id": "b", "title": "B", "effect": "destroy"},
                {"id": "c", "title": "C", "permission": "nowhere"}, {"id": "d", "title": "D", "permission": "audit"}]}))
        .unwrap()
    }

    /// Written by hand: role × core permission.
    #[test]
    fn the_matrix_of_core_permissions() {
        let permissions = Permissions::new([]);
        for (role, held) in [
            (Role::Manager, vec!["audit", "destroy", "manage", "read", "run"]),
            (Role::Operator, vec!["read", "run"]),
            (Role::Auditor, vec!["audit", "read"]),
        ] {
            assert_eq!(permissions.of(&actor(role)), held, "{role}");
        }
    }

    #[test]
    fn a_plugins_permissions_are_its_own() {
        let manifest = manifest();
        let permissions = Permissions::new([&manifest]);
        let needs = |n: usize| command_permission(&manifest, &manifest.commands[n]);
        assert_eq!([needs(0), needs(1), needs(2), needs(3)], ["acme.restore", "destroy", "nowhere", "acme.audit"]);
        let may = |role, n| authorize(&permissions, &actor(role), &needs(n), Scope::Site).is_ok();
        assert!(may(Role::Operator, 0) && may(Role::Manager, 0) && !may(Role::Auditor, 0));
        assert!(!may(Role::Operator, 1));
        assert!(!may(Role::Manager, 2), "an undeclared permission is held by somebody");
        assert!(!may(Role::Auditor, 3), "a plugin's permission passed for the core's");
    }

    #[test]
    fn a_token_never_exceeds_its_maker() {
        let permissions = Permissions::new([]);
        let token = Actor { kind: ActorKind::Token, maker_role: Some(Role::Auditor), ..actor(Role::Manager) };
        assert_eq!(permissions.of(&token), ["audit", "read"]);
        let denied = authorize(&permissions, &token, "run", Scope::Site).unwrap_err();
        assert_eq!(denied, Denied::Permission { role: Role::Auditor, permission: "run".into() });
    }

    #[test]
    fn machines_of_other_groups_are_not_there() {
        let permissions = Permissions::new([]);
        let (mine, other) = (Uuid::now_v7(), Uuid::now_v7());
        let limited = Actor { reach: Reach::Groups([mine].into()), ..actor(Role::Manager) };
        let ask = |scope: Scope<'_>| authorize(&permissions, &limited, "run", scope);
        assert_eq!(ask(Scope::Machine(&[other, mine])), Ok(()));
        assert_eq!(ask(Scope::List), Ok(()));
        for scope in [Scope::Machine(&[other]), Scope::Machine(&[]), Scope::Site] {
            assert_eq!(ask(scope), Err(Denied::OutOfReach));
        }
        assert_eq!(Problem::from(Denied::OutOfReach).code, schema::Code::NotFound);
    }
}
