package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
)

// app is an application: it waits on its sidecar's long-poll for ever, and says when it is told that it leads. Ends with the sidecar.
func app(arguments []string) {
	flags := flag.NewFlagSet("app", flag.ExitOnError)
	sidecar := flags.String("url", "", "")
	check(flags.Parse(arguments))
	client := httpClient(1)
	version, led := "", false
	for {
		answer := ask(client, fmt.Sprintf("%s?since=%s&wait=30s", *sidecar, url.QueryEscape(version)))
		if answer.IsLeader && !led {
			say(map[string]int64{"leads_boottime_ns": answer.at})
		}
		version, led = answer.Version, answer.IsLeader
	}
}

type answer struct {
	Version  string `json:"version"`
	IsLeader bool   `json:"is_leader"`
	at       int64
}

func ask(client *http.Client, url string) (found answer) {
	response, err := client.Get(url)
	if err == nil {
		defer response.Body.Close()
		err = json.NewDecoder(response.Body).Decode(&found)
	}
	if err != nil {
		os.Exit(0) // the sidecar has ended
	}
	found.at = boottime()
	return found
}
