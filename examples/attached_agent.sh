#!/bin/sh
# An agent that runs elsewhere, with nothing but a shell and curl: runs COMMAND for each mission.
#
#   HIVEKEEPER_URL=http://127.0.0.1:7171 HIVEKEEPER_TOKEN=hk_t_... ./attached_agent.sh NAME COMMAND...
#
# The token is the agent's own, or an operator's, which registers it. The command runs in the mission's
# directory with the whole lease, as JSON, on standard input; exit code 0 says that it is done.
set -eu
url="${HIVEKEEPER_URL%/}/api/v1/attached" token=$HIVEKEEPER_TOKEN name=$1 busy='"status":503'
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
    printf %s "$lease" | setsid sh -c 'cd "$1" || exit; shift; exec "$@"' \
        sh "$(printf %s "$lease" | field directory)" "$@" >/dev/null &
    child=$! say=nothing code=0
    while kill -0 "$child" 2>/dev/null && [ "$say" != stop ]; do
        sleep 1
        say=$(call /heartbeat "{\"attempt\":\"$attempt\"}" | field say)
    done
    [ "$say" != stop ] || kill -- "-$child" 2>/dev/null || true
    wait "$child" || code=$?
    completed=false
    [ "$say" = stop ] || [ "$code" != 0 ] || completed=true
    # Until it is through or refused: what was done must not be lost because the engine is away.
    while :; do
        end=$(call /finish "{$mine,\"completed\":$completed,\"summary\":\"the command ended with $code\"}") ||
            end=$busy
        case $end in *"$busy"* | *'"status":429'*) sleep 1 ;; *) break ;; esac
    done
    echo "$end"
}

made=$(call '' "{\"name\":\"$name\",\"lost_after_s\":6}")
case $made in *'"token":"hk_t_'*) token=$(printf %s "$made" | field token) ;; esac
while :; do
    offer=$(call /lease '{"wait_s":25}') || offer=$busy
    case $offer in
    *'"lease":{'*) work "$offer" "$@" ;;
    '{"lease":null}' | *"$busy"* | *'"status":429'*) sleep 1 ;;
    *) echo "$offer" >&2; exit 1 ;;
    esac
done
