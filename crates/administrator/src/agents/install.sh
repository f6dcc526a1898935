#!/bin/sh
# Installs the Bailiwick agent on this machine and joins it to its administrator.
# Usage: sh -s -- JOIN-TOKEN
set -eu

addresses='@ADDRESSES@'
pin='@PIN@'
sha256='@SHA256@'

fail() {
    printf 'bailiwick: %s\n' "$1" >&2
    exit 1
}

fetch_agent() {
    for address in $addresses; do
        if curl -fsSk --retry 2 --connect-timeout 10 --pinnedpubkey "sha256//$pin" -o "$1" "https://$address/agent"; then
            return 0
        fi
    done
    fail "the agent cannot be fetched from any of: $addresses"
}

check_agent() {
    command -v sha256sum >/dev/null || fail 'sha256sum is needed to check the agent'
    actual=$(sha256sum "$1")
    [ "${actual%% *}" = "$sha256" ] || fail 'the agent that came is not the one the administrator promised; nothing was installed'
}

has_systemd() {
    [ "$(id -u)" -eq 0 ] && [ -d /run/systemd/system ]
}

# The process of the agent that runs with this state, where there is one.
agent_of() {
    pid=$(cat "$1/agent.pid" 2>/dev/null) || return 1
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = bailiwick-agent ] && printf '%s' "$pid"
}

# An agent that runs holds its state, and would not see that it belongs to another administrator.
stop_running() {
    if has_systemd; then
        systemctl stop bailiwick-agent.service 2>/dev/null || true
    fi
    pid=$(agent_of "$1") || return 0
    kill "$pid" 2>/dev/null || return 0
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
        agent_of "$1" >/dev/null || return 0
        sleep 1
    done
    fail "the agent that runs here (process $pid) does not end"
}

start_with_systemd() {
    cat >/etc/systemd/system/bailiwick-agent.service <<UNIT
[Unit]
Description=Bailiwick agent
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=$1 run --state $2
Restart=always
RestartSec=5
KillMode=mixed
TimeoutStopSec=20

[Install]
WantedBy=multi-user.target
UNIT
    systemctl daemon-reload
    systemctl enable --quiet bailiwick-agent.service
    systemctl restart bailiwick-agent.service
}

start_without() {
    if command -v setsid >/dev/null; then
        setsid nohup "$1" run --state "$2" >"$2/agent.log" 2>&1 </dev/null &
    else
        nohup "$1" run --state "$2" >"$2/agent.log" 2>&1 </dev/null &
    fi
}

# Starts what is installed, also the old one again where the new one could not join.
start_agent() {
    if has_systemd; then
        start_with_systemd "$1" "$2"
    else
        start_without "$1" "$2"
    fi
}

main() {
    token=${1:-}
    case $token in
    '' | *[!A-Za-z0-9_-]*) fail 'a join token is needed, and has letters, digits, - and _ only' ;;
    esac
    [ "$(uname -s)" = Linux ] || fail 'this agent is for Linux'
    command -v curl >/dev/null || fail 'curl is needed to fetch the agent'

    umask 077
    if [ "$(id -u)" -eq 0 ]; then
        program=/usr/local/lib/bailiwick/bailiwick-agent
        state=/var/lib/bailiwick-agent
    else
        case ${HOME:-} in
        /*) ;;
        *) fail 'HOME is not set' ;;
        esac
        program=$HOME/.local/lib/bailiwick/bailiwick-agent
        state=$HOME/.local/state/bailiwick-agent
        case $HOME in
        *[!A-Za-z0-9_./-]*) fail 'the path of the home directory has characters that a service cannot use' ;;
        esac
    fi

    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
    fetch_agent "$fresh/bailiwick-agent"
    check_agent "$fresh/bailiwick-agent"
    chmod 755 "$fresh/bailiwick-agent"
    stop_running "$state"
    # Only who runs it may read the environment of a process, but everybody its arguments.
    if ! BAILIWICK_JOIN=$token "$fresh/bailiwick-agent" enrol --state "$state"; then
        if [ -x "$program" ] && [ -f "$state/enrolment.json" ]; then
            start_agent "$program" "$state"
            fail 'this machine did not join; the agent that was here runs again as before'
        fi
        fail 'this machine did not join; nothing was installed'
    fi

    (umask 022 && mkdir -p "${program%/*}")
    # Beside the old one first, since a program that runs cannot be written over.
    cp "$fresh/bailiwick-agent" "$program.new"
    chmod 755 "$program.new"
    mv -f "$program.new" "$program"

    start_agent "$program" "$state"
    has_systemd ||
        printf 'bailiwick: the agent is to be started again after a reboot with:\n    %s run --state %s\n' "$program" "$state"
    printf 'bailiwick: this machine is on the screen now\n'
}

# The whole script is read before anything is done.
main "$@"
