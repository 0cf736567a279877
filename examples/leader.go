// Acts while this Pod leads: appends its fencing token and name to a ledger, five times a second. Standard library only.
//
//	go run leader.go [localhost:4040] [ledger]
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"
	"unsafe"
)

type answer struct {
	Name, State, Version string
	IsLeader             bool  `json:"is_leader"`
	Token                int64 `json:"fencing_token"`
	UntilNs              int64 `json:"valid_until_boottime_ns"`
}

// leads says whether this Pod may act now: one call, no HTTP. Ask it right before each side effect.
func (a answer) leads() bool {
	var now syscall.Timespec // Go's own clock stands still while the machine is suspended
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, 7 /* CLOCK_BOOTTIME */, uintptr(unsafe.Pointer(&now)), 0)
	return errno == 0 && a.IsLeader && now.Nano() < a.UntilNs
}

func main() {
	arguments := append(os.Args[1:], []string{"localhost:4040", "ledger"}[min(len(os.Args)-1, 2):]...)
	address, path := arguments[0], arguments[1]
	client := http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{}} // no proxy, whatever http_proxy says
	for version, wait := "", "0"; ; {
		// Told of a change at once; without one asked again after wait, since renewals move the deadline and not the version.
		var now answer
		response, err := client.Get("http://" + address + "/leader?since=" + url.QueryEscape(version) + "&wait=" + wait)
		if err == nil {
			err = json.NewDecoder(response.Body).Decode(&now)
			response.Body.Close()
		}
		if err != nil || response.StatusCode != http.StatusOK { // no answer: not the leader
			version, wait = "", "0"
			time.Sleep(200 * time.Millisecond)
			continue
		}
		version, wait = now.Version, "5s"
		if now.IsLeader {
			wait = "200ms" // the pace of the work; anything below expires_in will do
		}
		ledger, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err == nil && now.leads() { // what the work changes should refuse a token smaller than the largest it has seen
			fmt.Fprintf(ledger, "%d %s\n", now.Token, now.Name)
		} else if now.State == "stepping-down" { // nothing is under way: the next one may begin
			client.Post("http://"+address+"/drained", "", nil)
		}
		ledger.Close()
	}
}
