#!/bin/sh
# An agent that runs elsewhere, with nothing but a shell and curl: runs COMMAND for each mission.
#
#   HIVEKEEPER_URL=http://127.0.0.1:7171 HIVEKEEPER_TOKEN=hk_t_... ./attached_agent.sh NAME COMMAND...
#
# The token is the agent's own, or an operator's, which registers it. The command runs in the mission's
# directory with the whole lease, as JSON, on standard input; exit code 0 says that it is done.
set -eu
url="${HIVEKEEPER_URL%/}/api/v1/attached" token=$HIVEKEEPER_TOKEN name=$1
shift

# The token goes by standard input: what stands in an argument, every process can read.
call() {
    printf 'header = "Authorization: Bearer %s"\n' "$token" |
        curl --silent --show-error --max-time 60 --config - --header 'Content-Type: application/json' \
            --data "$2" "$url$1"
}

# What stands in JSON under a name: a number, or a text without escapes.
field() { sed -n "s/.*\"$1\":\"\\{0,1\\}\\([^\",}]*\\).*/\\1/p"; }

work() {
    lease=$1
    shift
    attempt=$(printf %s "$lease" | field attempt)
    mine="\"attempt\":\"$attempt\",\"fence\":$(printf %s "$lease" | field fence)"
    ended=$(mktemp)
    printf %s "$lease" | setsid sh -c 'ended=$1; cd "$2" || exit; shift 2; "$@"; echo $? >"$ended"' \
        sh "$ended" "$(printf %s "$lease" | field directory)" "$@" >/dev/null &
    child=$! say=nothing
    while [ ! -s "$ended" ] && [ "$say" != stop ]; do
        sleep 1
        say=$(call /heartbeat "{\"attempt\":\"$attempt\"}" | field say)
    done
    [ "$say" != stop ] || kill -- "-$child" 2>/dev/null || true
    wait "$child" || true
    completed=false
    [ "$say" = stop ] || [ "$(cat "$ended")" != 0 ] || completed=true
    rm -f "$ended"
    call /finish "{$mine,\"completed\":$completed,\"summary\":\"$* ended\"}"
    echo
}

made=$(call '' "{\"name\":\"$name\",\"lost_after_s\":6}")
case $made in *'"token":"hk_t_'*) token=$(printf %s "$made" | field token) ;; esac
while :; do
    offer=$(call /lease '{"wait_s":25}') || { sleep 1; continue; }
    case $offer in
    *'"lease":{'*) work "$offer" "$@" ;;
    '{"lease":null}') ;;
    *) echo "$offer" >&2; exit 1 ;;
    esac
done
