module github.com/go-keepalive/keepalive/bench

go 1.26.0

replace github.com/go-keepalive/keepalive => ..

require (
	github.com/go-keepalive/keepalive v0.0.0-00010101000000-000000000000
	github.com/hashicorp/yamux v0.1.2
	github.com/mikioh/tcp v0.0.0-20190314235350-803a9b46060c
	github.com/mikioh/tcpinfo v0.0.0-20190314235526-30a79bb1804b
	github.com/mikioh/tcpopt v0.0.0-20190314235656-172688c1accc
	github.com/stretchr/testify v1.12.1
	golang.org/x/sys v0.49.0
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/net v0.0.0-20201021035429-f5854403a974 // indirect
)
