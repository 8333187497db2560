"""nuScenes' tables held against its schema as published: fields and their types, tokens that lead somewhere, chains."""

import json

FIELDS = {
    "attribute": {"name": str, "description": str},
    "calibrated_sensor": {"sensor_token": str, "translation": list, "rotation": list, "camera_intrinsic": list},
    "category": {"name": str, "description": str, "index": int},
    "ego_pose": {"translation": list, "rotation": list, "timestamp": int},
    "instance": {
        "category_token": str,
        "nbr_annotations": int,
        "first_annotation_token": str,
        "last_annotation_token": str,
    },
    "lidarseg": {"filename": str, "sample_data_token": str},
    "log": {"logfile": str, "vehicle": str, "date_captured": str, "location": str},
    "map": {"log_tokens": list, "category": str, "filename": str},
    "sample": {"timestamp": int, "scene_token": str, "next": str, "prev": str},
    "sample_annotation": {
        "sample_token": str,
        "instance_token": str,
        "attribute_tokens": list,
        "visibility_token": str,
        "translation": list,
        "size": list,
        "rotation": list,
        "num_lidar_pts": int,
        "num_radar_pts": int,
        "next": str,
        "prev": str,
    },
    "sample_data": {
        "sample_token": str,
        "ego_pose_token": str,
        "calibrated_sensor_token": str,
        "filename": str,
        "fileformat": str,
        "width": int,
        "height": int,
        "timestamp": int,
        "is_key_frame": bool,
        "next": str,
        "prev": str,
    },
    "scene": {
        "name": str,
        "description": str,
        "log_token": str,
        "nbr_samples": int,
        "first_sample_token": str,
        "last_sample_token": str,
    },
    "sensor": {"channel": str, "modality": str},
    "visibility": {"level": str, "description": str},
}
# Where tokens are called after something else than their table.
LEADS = {
    "first_annotation_token": "sample_annotation",
    "last_annotation_token": "sample_annotation",
    "first_sample_token": "sample",
    "last_sample_token": "sample",
    "attribute_tokens": "attribute",
    "log_tokens": "log",
}


def faults(root, version="v1.0-mini"):
    """A line for everything in which the tables and the files that they name differ from the schema."""
    names = [name for name in FIELDS if name != "lidarseg" or (root / version / "lidarseg.json").is_file()]
    tables = {name: json.loads((root / version / f"{name}.json").read_text()) for name in names}
    known = {name: {record["token"]: record for record in records} for name, records in tables.items()}
    found = []
    for name, records in tables.items():
        if len(known[name]) != len(records):
            found.append(f"{name}: tokens twice")
        for record in records:
            found += [f"{name}: {line}" for line in _record(record, name, known)]
            if "filename" in record and not (root / record["filename"]).is_file():
                found.append(f"{name}: {record['filename']} is not there")
    if not tables["map"] or {token for record in tables["map"] for token in record["log_tokens"]} != set(known["log"]):
        found.append("map: every log needs one")
    begins = [known["sample"][scene["first_sample_token"]]["timestamp"] for scene in tables["scene"]]
    if len(set(begins)) != len(begins):
        found.append("scene: two begin at once")
    if "lidarseg" in tables:
        files = list((root / "lidarseg" / version).glob("*.bin"))
        if len(files) != len(tables["lidarseg"]):
            found.append(f"lidarseg: {len(files)} files in lidarseg/{version} and {len(tables['lidarseg'])} records")
    return found


def _record(record, name, known):
    for field, kind in {"token": str, **FIELDS[name]}.items():
        if type(record.get(field)) is not kind:
            yield f"{field} is {record.get(field)!r}, no {kind.__name__}"
    for field, value in record.items():
        if field.endswith(("_token", "_tokens")):
            table = LEADS.get(field, field.removesuffix("_token"))
            for token in value if isinstance(value, list) else [value]:
                if token not in known[table]:
                    yield f"{field} {token!r} leads nowhere"
    for side, back in (("next", "prev"), ("prev", "next")):
        if record.get(side) and known[name].get(record[side], {}).get(back) != record["token"]:
            yield f"{side} does not lead back"
