import { mount } from "svelte";
import "../lib/page.css";
import "./colours.css";
import "./reactions.css";
import "./picker.css";
import "./react.css";
import { addressOf } from "./address";
import Page from "./Page.svelte";
import { roomHere } from "../lib/room";

const target = document.getElementById("page");
const address = addressOf(location.search);
const room = roomHere() ?? "lobby";

document.title = `${room} · Ovation`;
document.documentElement.dataset.theme = address.theme;
document.body.classList.toggle("clear", address.clear);
if (target) mount(Page, { target, props: { room, address } });
