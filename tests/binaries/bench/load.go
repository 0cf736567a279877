package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

func httpClient(connections int) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, DisableCompression: true}
	transport.DialContext = (&net.Dialer{Timeout: 20 * time.Second}).DialContext
	return &http.Client{Transport: transport}
}

func get(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err = io.Copy(io.Discard, response.Body); err == nil && response.StatusCode != 200 {
		err = fmt.Errorf("HTTP %d", response.StatusCode)
	}
	return err
}

// load asks again and again over a few connections, each as soon as it has its answer: for so long, or so many in all.
func load(arguments []string) {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	url := flags.String("url", "", "")
	connections := flags.Int("connections", 8, "")
	lasts := flags.Duration("for", 10*time.Second, "")
	requests := flags.Int("requests", 0, "in all; 0: as many as go")
	check(flags.Parse(arguments))
	client := httpClient(*connections)
	took := make([][]float64, *connections)
	failed := make([]int, *connections)
	began := time.Now()
	var all sync.WaitGroup
	for number := range *connections {
		all.Go(func() {
			most := *requests / *connections
			for len(took[number])+failed[number] < most || (*requests == 0 && time.Since(began) < *lasts) {
				before := time.Now()
				if err := get(client, *url); err != nil {
					failed[number]++
					fmt.Fprintln(os.Stderr, err)
					time.Sleep(10 * time.Millisecond)
				} else {
					took[number] = append(took[number], time.Since(before).Seconds())
				}
			}
		})
	}
	all.Wait()
	elapsed := time.Since(began).Seconds()
	whole := slices.Concat(took...)
	slices.Sort(whole)
	errors := 0
	for _, count := range failed {
		errors += count
	}
	if len(whole) == 0 {
		fmt.Fprintln(os.Stderr, "nothing was answered")
		os.Exit(1)
	}
	at := func(share float64) float64 { return whole[min(len(whole)-1, int(share*float64(len(whole))))] }
	say(map[string]any{"requests": len(whole), "errors": errors, "seconds": elapsed, "per_second": float64(len(whole)) / elapsed,
		"p50_seconds": at(0.5), "p99_seconds": at(0.99), "max_seconds": whole[len(whole)-1], "connections": *connections})
}

// wake parks that many polls, each on a connection of its own, and tells when each was answered.
func wake(arguments []string) {
	flags := flag.NewFlagSet("wake", flag.ExitOnError)
	url := flags.String("url", "", "")
	polls := flags.Int("polls", 1000, "")
	check(flags.Parse(arguments))
	client := httpClient(*polls)
	client.Timeout = 10 * time.Minute
	answered := make([]int64, *polls)
	failed := make([]bool, *polls)
	var all sync.WaitGroup
	for number := range *polls {
		all.Go(func() {
			failed[number] = get(client, *url) != nil
			answered[number] = boottime()
		})
	}
	all.Wait()
	errors := 0
	for _, bad := range failed {
		if bad {
			errors++
		}
	}
	say(map[string]any{"polls": *polls, "errors": errors, "answered_boottime_ns": answered})
}
