"""The application of these tests: `curl` in a loop, and a file that it appends its token to."""

from typing import Final

SCRIPT: Final = r"""
# Says when (1/100 s since boot, one clock for the whole node), who it is and what it does, a line each.
say() { read -r up rest < /proc/uptime; echo "${up%.*}${up#*.} $POD_NAME $POD_UID $*" >> /ledger/log; }
trap 'ended=1' TERM
say begun
version= ended= led=
while [ -z "$ended" ]; do
    if ! answer=$(curl -s --max-time 3 "localhost:4040/leader?since=$version&wait=200ms"); then  # no answer: not the leader
        led=; sleep 0.05; continue
    fi
    version=${answer#*\"version\": \"}; version=${version%%\"*}
    case $answer in
        *'"is_leader": true'*)
            token=${answer#*\"fencing_token\": }; token=${token%%[,\}]*}
            deadline=${answer#*\"valid_until_boottime_ns\": }; deadline=${deadline%%[,\}]*}
            read -r up rest < /proc/uptime
            [ "${up%.*}${up#*.}" -lt $((deadline / 10000000)) ] || continue
            [ -n "$led" ] || say told "$token"
            led=1
            say acts "$token"
            sleep 0.05;;
        *) led=;;
    esac
done
say ended
"""
"""Told to end, it finishes what it is about and says so last."""
