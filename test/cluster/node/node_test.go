package node

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"crypto/x509"
	"encoding/pem"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

// testConfig is a config whose programs are where none is.
func testConfig(state string) Config {
	programs := map[string]string{}
	for _, name := range []string{"kubernetes", "containerd", "registry", "buildkitd", "addons", "kubectl", "ctr", "buildctl", "ptp"} {
		programs[name] = "/programs/" + name + "/" + name
	}
	return Config{State: state, Subnet: netip.MustParsePrefix("10.9.0.0/16"), Programs: programs}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		state, subnet, want string // want is a part of the error; "" for none
	}{
		{"/var/tmp/x", "10.9.0.0/16", ""},
		{"/optional", "10.9.0.0/16", ""},
		{"var/tmp/x", "10.9.0.0/16", "absolute"},
		{"/var/tmp/a b", "10.9.0.0/16", "spaces"},
		{"/var/tmp/a,b", "10.9.0.0/16", "commas"},
		{"/" + strings.Repeat("x", 60), "10.9.0.0/16", "60 bytes"},
		{"/var/lib/x", "10.9.0.0/16", "private"},
		{"/run", "10.9.0.0/16", "private"},
		{"/var/tmp/x", "10.9.0.0/20", "/16"},
		{"/var/tmp/x", "10.9.1.0/16", "/16"},
		{"/var/tmp/x", "fd00::/16", "IPv4"},
	} {
		err := Config{State: tt.state, Subnet: netip.MustParsePrefix(tt.subnet)}.Verify()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Verify of %s and %s: %v, want %q", tt.state, tt.subnet, err, tt.want)
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	c := testConfig("/s")
	if c.pods().Overlaps(c.services()) {
		t.Errorf("pods %s and Services %s overlap", c.pods(), c.services())
	}
	if !c.pods().Contains(c.gateway()) || c.pods().Contains(c.nodeIP()) || c.services().Contains(c.nodeIP()) {
		t.Errorf("gateway %s, node %s: want the first among pods %s, the second neither there nor in %s", c.gateway(), c.nodeIP(), c.pods(), c.services())
	}
	if !c.services().Contains(c.dnsService()) || !c.services().Contains(c.apiService()) {
		t.Errorf("Services %s and %s: want them in %s", c.dnsService(), c.apiService(), c.services())
	}
}

// TestRender checks that each file has all its values, and its syntax where a
// parser is at hand.
func TestRender(t *testing.T) {
	t.Parallel()
	for name, text := range render(testConfig("/state")) {
		if strings.Contains(text, "${") {
			t.Errorf("%s has a placeholder left:\n%s", name, text)
		}
		var value any
		var err error
		switch filepath.Ext(name) {
		case ".yaml":
			err = yaml.UnmarshalStrict([]byte(text), &value)
		case ".conflist":
			err = json.Unmarshal([]byte(text), &value)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestComponents checks that the programs and ports of components are set and
// do not collide.
func TestComponents(t *testing.T) {
	t.Parallel()
	c := testConfig("/state")
	ports := map[string]string{}
	for _, component := range components(c) {
		if !strings.HasPrefix(component.Args[0], "/programs/") {
			t.Errorf("%s runs %q", component.Name, component.Args[0])
		}
		for _, address := range component.Listen {
			if _, err := netip.ParseAddrPort(address); err != nil {
				t.Errorf("%s listens on %q: %v", component.Name, address, err)
			}
			if other := ports[address]; other != "" {
				t.Errorf("%s and %s listen on %s", component.Name, other, address)
			}
			ports[address] = component.Name
		}
		for _, argument := range component.Args {
			// An address of everybody's would open the cluster to the network.
			if strings.Contains(argument, "0.0.0.0") {
				t.Errorf("%s has the argument %q", component.Name, argument)
			}
		}
	}
	if _, err := find(c, "kubelet"); err != nil {
		t.Error(err)
	}
	if _, err := find(c, "none"); err == nil {
		t.Error("a component called none was found")
	}
}

func TestPKI(t *testing.T) {
	t.Parallel()
	c := testConfig(t.TempDir())
	if err := writeFiles(c); err != nil {
		t.Fatal(err)
	}
	if err := writePKI(c); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.LoadFromFile(c.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	if config.CurrentContext != Context || config.Clusters[Context].Server != c.server() {
		t.Errorf("kubeconfig has context %q and server %q", config.CurrentContext, config.Clusters[Context].Server)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.Clusters[Context].CertificateAuthorityData)
	server := readCertificate(t, c.path("etc", "apiserver.crt"))
	for _, host := range []string{c.nodeIP().String(), c.apiService().String(), "kubernetes.default.svc", "localhost"} {
		if _, err := server.Verify(x509.VerifyOptions{Roots: roots, DNSName: host}); err != nil {
			t.Errorf("the API server's certificate for %s: %v", host, err)
		}
	}
	kubelet := readCertificate(t, c.path("etc", "kubelet.crt"))
	if diff := cmp.Diff([]string{"system:nodes"}, kubelet.Subject.Organization); diff != "" {
		t.Errorf("the kubelet's groups (-want +got):\n%s", diff)
	}
	info, err := os.Stat(c.path("etc", "admin.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the administrator's key has mode %v, %v", info.Mode(), err)
	}
}

func readCertificate(t *testing.T, name string) *x509.Certificate {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}
