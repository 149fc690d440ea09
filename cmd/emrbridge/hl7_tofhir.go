package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/emrbridge/emrbridge/adapters/hl7"
	"github.com/emrbridge/emrbridge/adapters/v2tofhir"
)

type toFHIROptions struct {
	charset, zone, recordID string
	systems                 map[string]string
	asJSON                  bool
}

func newHL7ToFHIRCommand() *cobra.Command {
	var o toFHIROptions
	cmd := &cobra.Command{
		Use:   "to-fhir FILE…",
		Short: "Convert messages into FHIR R4 Bundles · 将 HL7 v2 消息转换为 FHIR R4 Bundle",
		Long: `Converts every message of the files after the HL7 "Version 2 to FHIR" implementation guide and
prints one message Bundle for each, indented. With --json one line for each message has the Bundle
as detail. What has no map stands in a Basic resource of the Bundle, and its OperationOutcome
names it. "-" reads standard input.

按 HL7 “v2-to-FHIR” 实施指南转换；没有对应映射的内容保留在 Basic 资源中，并由 OperationOutcome 列出。`,
		Example: "  emrbridge hl7 to-fhir oru.hl7 > oru.json",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(cmd *cobra.Command, files []string) error { return hl7ToFHIR(cmd, o, files) },
	}
	cmd.Flags().StringVar(&o.charset, "charset", "UTF-8", "charset of messages whose MSH-18 is empty · 缺省字符集")
	cmd.Flags().StringVar(&o.zone, "zone", "", "zone of times that have none, as Asia/Shanghai; default +08:00 · 缺省时区")
	cmd.Flags().StringVar(&o.recordID, "record", "", "record id that resource ids are derived from; default the message · 资源标识所依据的病历号")
	cmd.Flags().StringToStringVar(&o.systems, "system", nil, "NAMESPACE=URI: identifier or code system of a namespace that the messages give no address for, as H1=urn:oid:1.2.3 · 命名空间的标识体系")
	jsonFlag(cmd, &o.asJSON)
	return cmd
}

func hl7ToFHIR(cmd *cobra.Command, o toFHIROptions, files []string) error {
	charset, ok := hl7.CharsetByName(o.charset)
	if !ok {
		return fmt.Errorf("charset %q is not known; use for example UTF-8 or GB18030", o.charset)
	}
	options := v2tofhir.Options{RecordID: o.recordID, Systems: o.systems}
	if o.zone != "" {
		zone, err := time.LoadLocation(o.zone)
		if err != nil {
			return fmt.Errorf("--zone %q is not known; use a name such as Asia/Shanghai", o.zone)
		}
		options.Zone = zone
	}
	policy := hl7.CharsetPolicy{Default: charset}
	out := cmd.OutOrStdout()
	if !o.asJSON { // Bundles go to standard output, what is said of the inputs beside them
		cmd.SetOut(cmd.ErrOrStderr())
		defer cmd.SetOut(out)
	}
	return inspect(cmd, files, o.asJSON, func(_ context.Context, _ string, data []byte, emit func(verdict, string)) {
		messages := hl7.SplitMessages(data).Messages()
		if len(messages) == 0 {
			emit(verdict{Error: "no message in the input; a message begins with MSH"}, "")
		}
		for i, raw := range messages {
			v := verdict{Item: i + 1}
			bundle, err := toFHIR(raw, policy, options)
			if err != nil {
				v.Error = err.Error()
				emit(v, "")
				continue
			}
			v.OK, v.Detail = true, bundle
			emit(v, "")
			if !o.asJSON {
				var pretty bytes.Buffer
				_ = json.Indent(&pretty, bundle, "", "  ") // it was made a moment ago, as JSON
				fmt.Fprintln(out, pretty.String())
			}
		}
	})
}

// toFHIR converts one raw message.
func toFHIR(raw []byte, policy hl7.CharsetPolicy, o v2tofhir.Options) (json.RawMessage, error) {
	text, _, err := policy.Decode(raw)
	if err != nil {
		return nil, err
	}
	msg, err := hl7.Parse(text)
	if err != nil {
		return nil, err
	}
	result, err := v2tofhir.Convert(msg, o)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result.Bundle)
}
