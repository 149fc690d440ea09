package rest

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/emrbridge/emrbridge/adapters/fhir"
)

type object = map[string]any

// metadata is the CapabilityStatement (FHIR R4 §3.1.0.2.1), made from what the handler does.
func (h *Handler) metadata() (answer, error) {
	statement := object{
		"resourceType": "CapabilityStatement", "status": "active", "date": fhir.Instant(h.now()), "kind": "instance",
		"software":       object{"name": "emrbridge", "version": nonEmpty(h.cfg.Version, "dev")},
		"implementation": object{"description": "Records received by " + h.cfg.HospitalMSP, "url": nonEmpty(h.cfg.Base, "http://localhost")},
		"fhirVersion":    "4.0.1", "format": []string{"application/fhir+json", "json"},
		"rest": []object{{
			"mode": "server", "resource": h.resources(),
			"security":    object{"description": "Mutual TLS, or an OAuth2 bearer token with SMART backend-services scopes (system/Type.cruds)."},
			"interaction": []object{{"code": "transaction"}, {"code": "batch"}},
			"operation": []object{
				{"name": "validate", "definition": "http://hl7.org/fhir/OperationDefinition/Resource-validate"},
				{"name": "process-message", "definition": "http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message"},
			},
		}},
	}
	body, err := json.Marshal(statement)
	return answer{status: http.StatusOK, header: http.Header{}, body: body}, err
}

func nonEmpty(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// parameterTypes are the types of search parameters that are not tokens.
var parameterTypes = map[string]string{"_lastUpdated": "date", "date": "date", "birthdate": "date", "patient": "reference", "subject": "reference", "encounter": "reference"}

func (h *Handler) resources() []object {
	var interactions, parameters []object
	for _, code := range []string{"read", "vread", "update", "delete", "history-instance", "create", "search-type"} {
		interactions = append(interactions, object{"code": code})
	}
	names := searchParameters()
	slices.Sort(names)
	for _, name := range names {
		parameters = append(parameters, object{"name": name, "type": nonEmpty(parameterTypes[name], "token")})
	}
	var out []object
	for _, name := range h.cfg.Resources {
		out = append(out, object{
			"type": name, "interaction": interactions, "versioning": "versioned-update", "readHistory": true, "updateCreate": true,
			"conditionalCreate": true, "conditionalRead": "full-support", "conditionalUpdate": true, "conditionalDelete": "not-supported",
			"referencePolicy": []string{"literal", "logical", "local"}, "searchParam": parameters,
		})
	}
	return out
}
