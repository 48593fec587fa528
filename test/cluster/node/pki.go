package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"strings"
	"time"
)

// certificateLife is far more than a cluster lives.
const certificateLife = 365 * 24 * time.Hour

// backdated is by how much a test's clock may be behind.
const backdated = 2 * time.Hour

// authority signs the cluster's certificates; its key is never written.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// pair is a certificate and its key in PEM.
type pair struct{ certificate, key []byte }

// writePKI makes all keys, certificates and kubeconfig files in the folder etc.
func writePKI(c Config) error {
	ca, caPEM, err := newAuthority()
	if err != nil {
		return fmt.Errorf("making the certificate authority: %w", err)
	}
	files := map[string][]byte{"ca.crt": caPEM.certificate, "ca.key": caPEM.key}
	for _, s := range []struct {
		name, user, group string
		hosts             []string
	}{
		{name: "apiserver", user: "kube-apiserver", hosts: []string{
			"127.0.0.1", c.nodeIP().String(), c.apiService().String(), "localhost", "kubernetes", "kubernetes.default",
			"kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		}},
		{name: "kubelet", user: "system:node:" + Context, group: "system:nodes", hosts: []string{c.nodeIP().String(), Context}},
		{name: "kubelet-client", user: "kube-apiserver-kubelet-client", group: "system:masters"},
		{name: "front-proxy", user: "front-proxy-client"},
		{name: "admin", user: "admin", group: "system:masters"},
		{name: "controllers", user: "system:kube-controller-manager"},
		{name: "scheduler", user: "system:kube-scheduler"},
		{name: "proxy", user: "system:kube-proxy"},
	} {
		p, err := ca.issue(s.user, s.group, s.hosts)
		if err != nil {
			return fmt.Errorf("making the certificate of %q: %w", s.name, err)
		}
		files[s.name+".crt"], files[s.name+".key"] = p.certificate, p.key
		files[s.name+".conf"] = kubeconfig(c, caPEM.certificate, p)
	}
	tokens, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making the key of the service accounts: %w", err)
	}
	if files["tokens.key"], files["tokens.pub"], err = encodeKeys(tokens); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(c.path("etc", name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// newAuthority makes a self-signed authority.
func newAuthority() (authority, pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority{}, pair{}, err
	}
	template := certificateTemplate(Context+"-ca", "")
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage |= x509.KeyUsageCertSign
	p, err := sign(template, template, key, key)
	if err != nil {
		return authority{}, pair{}, err
	}
	block, _ := pem.Decode(p.certificate)
	certificate, err := x509.ParseCertificate(block.Bytes)
	return authority{certificate, key}, p, err
}

// issue makes a key and a certificate for clients and servers; the user name
// and the group are what Kubernetes reads from it.
func (a authority) issue(user, group string, hosts []string) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	template := certificateTemplate(user, group)
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return sign(template, a.certificate, key, a.key)
}

func certificateTemplate(user, group string) *x509.Certificate {
	subject := pkix.Name{CommonName: user}
	if group != "" {
		subject.Organization = []string{group}
	}
	now := time.Now()
	return &x509.Certificate{
		Subject: subject, NotBefore: now.Add(-backdated), NotAfter: now.Add(certificateLife),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
}

// sign gives the certificate of key a random serial number and signs it.
func sign(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (pair, error) {
	var err error
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return pair{}, err
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return pair{}, err
	}
	private, _, err := encodeKeys(key)
	return pair{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), private}, err
}

// encodeKeys returns a private key and its public key in PEM.
func encodeKeys(key *ecdsa.PrivateKey) (private, public []byte, err error) {
	if private, err = x509.MarshalECPrivateKey(key); err != nil {
		return nil, nil, err
	}
	if public, err = x509.MarshalPKIXPublicKey(&key.PublicKey); err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}),
		pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), nil
}

// kubeconfig renders a kubeconfig file with everything in it.
func kubeconfig(c Config, ca []byte, p pair) []byte {
	encode := base64.StdEncoding.EncodeToString
	return []byte(strings.NewReplacer(
		"${name}", Context, "${server}", c.server(), "${ca}", encode(ca),
		"${certificate}", encode(p.certificate), "${key}", encode(p.key),
	).Replace(`apiVersion: v1
kind: Config
current-context: ${name}
contexts:
- name: ${name}
  context: {cluster: ${name}, user: ${name}}
clusters:
- name: ${name}
  cluster:
    server: ${server}
    certificate-authority-data: ${ca}
users:
- name: ${name}
  user:
    client-certificate-data: ${certificate}
    client-key-data: ${key}
`))
}
