module leader-sidecar.test/bench

go 1.26.0
