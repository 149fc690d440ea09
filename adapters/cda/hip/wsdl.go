package hip

import "strings"

// wsdl describes the operation: document/literal wrapped, over SOAP 1.1 and 1.2. LOCATION is
// the address of the service, RESULT the name of the element in the response.
const wsdl = `<?xml version="1.0" encoding="UTF-8"?>
<wsdl:definitions name="HIPMessageService" targetNamespace="urn:hl7-org:v3" xmlns:tns="urn:hl7-org:v3"
  xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
  xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/" xmlns:xsd="http://www.w3.org/2001/XMLSchema">
  <wsdl:types>
    <xsd:schema targetNamespace="urn:hl7-org:v3" elementFormDefault="qualified">
      <xsd:element name="HIPMessageServer">
        <xsd:complexType>
          <xsd:sequence>
            <xsd:element name="action" type="xsd:string" minOccurs="0"/>
            <xsd:element name="message" type="xsd:string"/>
          </xsd:sequence>
        </xsd:complexType>
      </xsd:element>
      <xsd:element name="HIPMessageServerResponse">
        <xsd:complexType>
          <xsd:sequence>
            <xsd:element name="RESULT" type="xsd:string"/>
          </xsd:sequence>
        </xsd:complexType>
      </xsd:element>
    </xsd:schema>
  </wsdl:types>
  <wsdl:message name="HIPMessageServerRequest"><wsdl:part name="parameters" element="tns:HIPMessageServer"/></wsdl:message>
  <wsdl:message name="HIPMessageServerReply"><wsdl:part name="parameters" element="tns:HIPMessageServerResponse"/></wsdl:message>
  <wsdl:portType name="HIPMessagePort">
    <wsdl:operation name="HIPMessageServer">
      <wsdl:input message="tns:HIPMessageServerRequest"/>
      <wsdl:output message="tns:HIPMessageServerReply"/>
    </wsdl:operation>
  </wsdl:portType>
  <wsdl:binding name="HIPMessageSoap11" type="tns:HIPMessagePort">
    <soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
    <wsdl:operation name="HIPMessageServer">
      <soap:operation soapAction="urn:hl7-org:v3:HIPMessageServer" style="document"/>
      <wsdl:input><soap:body use="literal"/></wsdl:input>
      <wsdl:output><soap:body use="literal"/></wsdl:output>
    </wsdl:operation>
  </wsdl:binding>
  <wsdl:binding name="HIPMessageSoap12" type="tns:HIPMessagePort">
    <soap12:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
    <wsdl:operation name="HIPMessageServer">
      <soap12:operation soapAction="urn:hl7-org:v3:HIPMessageServer" style="document"/>
      <wsdl:input><soap12:body use="literal"/></wsdl:input>
      <wsdl:output><soap12:body use="literal"/></wsdl:output>
    </wsdl:operation>
  </wsdl:binding>
  <wsdl:service name="HIPMessageService">
    <wsdl:port name="HIPMessagePort11" binding="tns:HIPMessageSoap11"><soap:address location="LOCATION"/></wsdl:port>
    <wsdl:port name="HIPMessagePort12" binding="tns:HIPMessageSoap12"><soap12:address location="LOCATION"/></wsdl:port>
  </wsdl:service>
</wsdl:definitions>
`

func describe(location, result string) []byte {
	return []byte(strings.NewReplacer("LOCATION", escape(location), "RESULT", result).Replace(wsdl))
}
