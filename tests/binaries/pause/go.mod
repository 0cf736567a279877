module leader-sidecar.test/pause

go 1.26.0
