package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// errNoNginx makes the bench leave out a row.
var errNoNginx = errors.New("left out: there is no nginx on this machine")

// nginx is Debian's nginx before a stand-in, like an ingress: it terminates TLS and offers HTTP/2.
type nginx struct {
	*process
	url         string
	certificate string // file of the self-signed certificate
}

// nginxConfig is a format for the folder, the address to listen on, and the stand-in's address. nginx runs as one process of the
// current user.
const nginxConfig = `daemon off;
master_process off;
pid %[1]s/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile 65536;
events { worker_connections 32768; }
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  keepalive_requests 1000000;
  ssl_certificate %[1]s/certificate.pem;
  ssl_certificate_key %[1]s/key.pem;
  upstream verity { server %[3]s; keepalive 64; keepalive_timeout 4s; }
  server {
    listen %[2]s ssl http2;
    location / {
      proxy_pass http://verity;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`

// startNginx starts an nginx before a server.
func startNginx(ctx context.Context, folder, server string) (*nginx, error) {
	path, err := exec.LookPath("nginx")
	if err != nil {
		return nil, errNoNginx
	}
	if err := writeCertificate(folder); err != nil {
		return nil, err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(folder, "nginx.conf")
	text := fmt.Sprintf(nginxConfig, folder, address, strings.TrimPrefix(server, "http://"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := start(ctx, nil, path, "-p", folder, "-c", config)
	if err != nil {
		return nil, err
	}
	n := &nginx{p, "https://" + address, filepath.Join(folder, "certificate.pem")}
	if err := n.await(ctx, address); err != nil {
		return nil, err
	}
	return n, nil
}

// await waits until nginx listens.
func (n *nginx) await(ctx context.Context, address string) error {
	for range 100 {
		if connection, err := new(net.Dialer).DialContext(ctx, "tcp", address); err == nil {
			return connection.Close()
		}
		select {
		case <-n.exited:
			return fmt.Errorf("nginx: %w: %s", n.err, n.stderr.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
	n.stop()
	return fmt.Errorf("nginx does not listen: %s", n.stderr.String())
}

// writeCertificate writes a certificate for 127.0.0.1, and its key.
func writeCertificate(folder string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for name, block := range map[string]pem.Block{
		"certificate.pem": {Type: "CERTIFICATE", Bytes: certificate}, "key.pem": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(&block), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// freeAddress returns a free address on loopback.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}
