package rest

import (
	"mime"
	"net/http"
	"strings"

	"github.com/emrbridge/emrbridge/adapters/fhir"
)

// format is how a caller wants to be answered.
type format struct {
	prefer string // minimal, representation or OperationOutcome; "" is representation
}

const jsonOnly = "; this server speaks FHIR R4 in JSON: application/fhir+json"

// isJSON reports whether a media type means FHIR JSON (FHIR R4 §3.1.0.1.9).
func isJSON(media string) bool {
	switch strings.ToLower(media) {
	case "application/fhir+json", "application/json", "text/json", "json":
		return true
	}
	return false
}

// isR4 reports whether a fhirVersion parameter means R4.
func isR4(version string) bool { return version == "" || strings.HasPrefix(version, "4.0") }

// negotiate reads Accept, _format and Prefer.
func negotiate(r *http.Request) (format, error) {
	var f format
	if want := r.URL.Query().Get("_format"); want != "" {
		media, params, err := mime.ParseMediaType(strings.ReplaceAll(want, " ", "+")) // a + in a query is a space
		if err != nil || !isJSON(media) || !isR4(params["fhirversion"]) {
			return f, fail(http.StatusNotAcceptable, fhir.CodeNotSupported, "the _format is not supported"+jsonOnly)
		}
	} else if err := accept(r.Header.Values("Accept")); err != nil {
		return f, err
	}
	for _, value := range r.Header.Values("Prefer") {
		for part := range strings.FieldsFuncSeq(value, func(c rune) bool { return c == ';' || c == ',' }) {
			if want, ok := strings.CutPrefix(strings.TrimSpace(part), "return="); ok {
				f.prefer = strings.Trim(want, `"`)
			}
		}
	}
	return f, nil
}

func accept(values []string) error {
	all := strings.Join(values, ",")
	if strings.TrimSpace(all) == "" {
		return nil
	}
	version := false
	for part := range strings.SplitSeq(all, ",") {
		media, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil || params["q"] == "0" {
			continue
		}
		if media == "*/*" || media == "application/*" || media == "text/*" || isJSON(media) {
			if isR4(params["fhirversion"]) {
				return nil
			}
			version = true
		}
	}
	if version {
		return fail(http.StatusNotAcceptable, fhir.CodeNotSupported, "another version of FHIR is asked for"+jsonOnly)
	}
	return fail(http.StatusNotAcceptable, fhir.CodeNotSupported, "no format that is asked for is supported"+jsonOnly)
}

// contentType refuses bodies that are no FHIR JSON of R4.
func contentType(r *http.Request) error {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	refuse := func(what string) error {
		return fail(http.StatusUnsupportedMediaType, fhir.CodeNotSupported, what+jsonOnly)
	}
	switch {
	case err != nil:
		return refuse("the Content-Type is missing or malformed")
	case strings.HasSuffix(media, "xml"):
		return refuse("XML is not supported")
	case !isJSON(media) && media != "application/json-patch+json":
		return refuse("the Content-Type is not supported")
	case media == "application/json-patch+json":
		return refuse("patches are not supported")
	case params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8"):
		return refuse("FHIR JSON is always in UTF-8")
	case !isR4(params["fhirversion"]):
		name := fhir.VersionName(params["fhirversion"])
		if name == "" {
			name = "another version"
		}
		return refuse("the Content-Type names FHIR " + name)
	case r.Header.Get("Content-Encoding") != "" && r.Header.Get("Content-Encoding") != "identity":
		return refuse("compressed bodies are not supported")
	}
	return nil
}
