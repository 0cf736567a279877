// The programs that the bench measures with: `minimum`, a candidate without an election (the theoretical minimum of a handover); `load`, one
// GET after another; `wake`, long-polls that wait together; `app`, the application of one sidecar.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

const clockBoottime = 7

func boottime() int64 {
	var now syscall.Timespec
	syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockBoottime, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

// say writes one JSON line to standard output, whole.
func say(what any) {
	line, err := json.Marshal(what)
	check(err)
	_, err = os.Stdout.Write(append(line, '\n'))
	check(err)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	commands := map[string]func([]string){"app": app, "load": load, "minimum": minimum, "wake": wake}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "bench app|load|minimum|wake")
		os.Exit(2)
	}
	commands[os.Args[1]](os.Args[2:])
}
