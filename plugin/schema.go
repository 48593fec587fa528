package plugin

import (
	"github.com/spf13/cobra"

	"github.com/kubectl-okteto/kubectl-okteto/plugin/manifest"
)

type schemaOptions struct{ factory *Factory }

func newSchemaCmd(f *Factory) *cobra.Command {
	o := &schemaOptions{factory: f}
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of okteto.yaml, for editors",
		Long: `Print the JSON Schema (draft 2020-12) of the manifest that this version reads.
Editors complete and check okteto.yaml with it.`,
		Example: `  kubectl okteto schema >okteto.schema.json
  # and as the first line of okteto.yaml:
  # yaml-language-server: $schema=okteto.schema.json`,
		RunE: func(cmd *cobra.Command, args []string) error { return runCommand(cmd, args, o) },
	}
}

// Complete takes no arguments.
func (o *schemaOptions) Complete(_ *cobra.Command, args []string) error { return noArguments(args) }

// Validate has nothing to check.
func (o *schemaOptions) Validate() error { return nil }

// Run prints the schema.
func (o *schemaOptions) Run(*cobra.Command) error {
	text, err := manifest.Schema()
	if err != nil {
		return err
	}
	_, err = o.factory.Streams.Out.Write(text)
	return err
}
