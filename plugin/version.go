package plugin

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/agent/config"
)

type versionOptions struct {
	factory *Factory
	output  string
}

func newVersionCmd(f *Factory) *cobra.Command {
	o := &versionOptions{factory: f}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of the plugin and its agent image",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCommand(cmd, args, o)
		},
	}
	cmd.Flags().StringVarP(&o.output, "output", "o", "", "output format: json")
	return cmd
}

// Complete takes no arguments.
func (o *versionOptions) Complete(_ *cobra.Command, args []string) error {
	return noArguments(args)
}

// Validate checks the output format.
func (o *versionOptions) Validate() error { return validateOutput(o.output) }

// Run prints the version.
func (o *versionOptions) Run(*cobra.Command) error {
	v := struct {
		Version    string `json:"version"`
		AgentImage string `json:"agentImage"`
		Go         string `json:"go"`
		Platform   string `json:"platform"`
	}{config.Version(), o.factory.AgentImage(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	if o.output == "json" {
		return json.NewEncoder(o.factory.Streams.Out).Encode(v)
	}
	_, err := fmt.Fprintf(o.factory.Streams.Out, "kubectl okteto %s (%s, %s)\nagent image %s\n", v.Version, v.Go, v.Platform, v.AgentImage)
	return err
}
