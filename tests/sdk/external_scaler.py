"""KEDA's external scaler as its own operator speaks to it: grpcio, and messages described field by field."""

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_TYPES = {"string": _FIELD.TYPE_STRING, "bool": _FIELD.TYPE_BOOL, "int64": _FIELD.TYPE_INT64, "double": _FIELD.TYPE_DOUBLE}
_PACKAGE = "externalscaler"
# Message -> (field, type, repeated), numbered in this order.
_MESSAGES = {
    "ScaledObjectRef": [("name", "string", False), ("namespace", "string", False), ("scalerMetadata", "Entry", True)],
    "IsActiveResponse": [("result", "bool", False)],
    "MetricSpec": [("metricName", "string", False), ("targetSize", "int64", False), ("targetSizeFloat", "double", False)],
    "GetMetricSpecResponse": [("metricSpecs", "MetricSpec", True)],
    "GetMetricsRequest": [("scaledObjectRef", "ScaledObjectRef", False), ("metricName", "string", False)],
    "MetricValue": [("metricName", "string", False), ("metricValue", "int64", False), ("metricValueFloat", "double", False)],
    "GetMetricsResponse": [("metricValues", "MetricValue", True)],
    # A map is a list of such pairs on the wire.
    "Entry": [("key", "string", False), ("value", "string", False)],
}


def _classes():
    file = descriptor_pb2.FileDescriptorProto(name="external_scaler.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind, is_repeated) in enumerate(fields, 1):
            label = _FIELD.LABEL_REPEATED if is_repeated else _FIELD.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if kind in _TYPES:
                added.type = _TYPES[kind]
            else:
                added.type, added.type_name = _FIELD.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    find = lambda name: pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
    return {name: message_factory.GetMessageClass(find(name)) for name in _MESSAGES}


CLASSES = _classes()


class ExternalScaler:
    """A channel to the scaler; use as a context."""

    def __init__(self, server):
        self.channel = grpc.insecure_channel(server.url.removeprefix("http://"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()

    def object(self, **metadata):
        """A reference to a scaled object whose trigger says `metadata`."""
        entries = [CLASSES["Entry"](key=key, value=value) for key, value in metadata.items()]
        return CLASSES["ScaledObjectRef"](name="object", namespace="default", scalerMetadata=entries)

    def call(self, method, message, answer, kind="unary_unary", timeout=30):
        """One call; gives the answer, or the answers as they come."""
        make = getattr(self.channel, kind)
        stub = make(
            f"/{_PACKAGE}.ExternalScaler/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=CLASSES[answer].FromString,
        )
        return stub(message, timeout=timeout)

    def is_active(self, **metadata):
        return self.call("IsActive", self.object(**metadata), "IsActiveResponse").result

    def stream_is_active(self, **metadata):
        return self.call("StreamIsActive", self.object(**metadata), "IsActiveResponse", "unary_stream")

    def spec(self, **metadata):
        (spec,) = self.call("GetMetricSpec", self.object(**metadata), "GetMetricSpecResponse").metricSpecs
        return spec

    def value(self, **metadata):
        request = CLASSES["GetMetricsRequest"](scaledObjectRef=self.object(**metadata), metricName="m")
        (value,) = self.call("GetMetrics", request, "GetMetricsResponse").metricValues
        return value
