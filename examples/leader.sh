#!/bin/sh
# Acts while this Pod leads: appends its fencing token and name to a ledger, five times a second. Needs curl and jq.
# --noproxy: the sidecar itself is asked, whatever http_proxy says.
#   sh leader.sh [localhost:4040] [ledger]
address=${1:-localhost:4040} ledger=${2:-ledger} version='' wait=0

now_ms() { # CLOCK_BOOTTIME, rounded up: /proc/uptime has hundredths
    read -r up _ < /proc/uptime
    echo $((${up%.*} * 1000 + (1${up#*.} - 100 + 1) * 10))
}

while true; do
    # Told of a change at once; without one asked again after `wait`, since renewals move the deadline and not the version.
    if ! answer=$(curl -gsf --noproxy '*' --max-time 15 "$address/leader?since=$version&wait=$wait"); then
        version='' wait=0 # no answer: not the leader
        sleep 0.2
        continue
    fi
    eval "$(echo "$answer" | jq -r '@sh "version=\(.version) name=\(.name) state=\(.state) leads=\(.is_leader) token=\(.fencing_token)
        until_ms=\(.valid_until_boottime_ns / 1000000 | floor)"')"
    wait=5s
    if [ "$leads" = true ]; then
        wait=200ms # the pace of the work; anything below expires_in will do
        # Right before each side effect. What the work changes should refuse a token smaller than the largest it has seen.
        if [ "$(now_ms)" -lt "$until_ms" ]; then
            echo "$token $name" >> "$ledger"
        fi
    elif [ "$state" = stepping-down ]; then
        curl -gsf --noproxy '*' --max-time 5 -o /dev/null -X POST "$address/drained" # nothing is under way: the next one may begin
    fi
done
